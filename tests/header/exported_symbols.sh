#!/bin/sh
# exported_symbols.sh LIBRARY [HEADER]: the shared library exports every function of its public header and nothing else.
set -eu
library=$1
header=${2:-facemill.h}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A declaration may break its line anywhere: join lines first, then take the name before each parenthesis.
tr '\n' ' ' <"$SOURCE/include/facemill/$header" | sed 's/;/;\n/g' | grep -o 'FM_API [^(]*(' |
    sed 's/.*[ *]\(fm_[a-z0-9_]*\)($/\1/' | grep '^fm_' | sort >"$work/declared"
nm -D --defined-only "$library" | awk '$2 != "A" {print $3}' | sort >"$work/exported"
[ -s "$work/declared" ] || { echo "found no declarations in the header"; exit 1; }
if ! diff "$work/declared" "$work/exported"; then
    echo "'<': declared in the header, not exported; '>': exported, not declared"
    exit 1
fi
