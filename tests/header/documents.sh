#!/bin/sh
# documents.sh [PROGRAM]: every file that our documents name is there, every link leads somewhere, and every command and
# option that README shows is one of the program's.
set -eu
program=${1:-}
failed=0
cd "$SOURCE"

for document in README.md ARCHITECTURE.md CONTRIBUTING.md docs/*.md; do
    folder=$(dirname "$document")
    # `path/to/file.c` in code quotes; words with capitals (NAME.c) or braces stand for something else
    for path in $(grep -oE '`(lib|include|apps|service|tests|scripts|docs|packaging)/[a-z0-9_./-]+`' "$document" | tr -d '`' | sort -u); do
        [ -e "$path" ] || { echo "$document names $path, which is not there"; failed=1; }
    done
    for link in $(grep -oE '\]\([A-Za-z0-9_./-]+\)' "$document" | sed 's/](\(.*\))/\1/' | sort -u); do
        [ -e "$folder/$link" ] || { echo "$document links to $link, which is not there"; failed=1; }
    done
done

# README begins with the two commands that work on a bare machine.
first=$(awk '/^```/ { if (inside) exit; inside = 1; next } inside { print $2 }' README.md | tr '\n' ' ')
[ "$first" = "scripts/run.sh scripts/test.sh " ] || { echo "README's first block is '$first', not the two commands"; failed=1; }

[ -n "$program" ] || exit "$failed"
for command in $(sed -n 's/^facemill \([a-z]*\) .*/\1/p' README.md | sort -u); do
    help=$("$program" "$command" --help) || { echo "README shows 'facemill $command', which is no command"; exit 1; }
    for option in $(sed -n "s/^facemill $command \\([^#]*\\).*/\\1/p" README.md | grep -oE -- '--[a-z-]+' | sort -u); do
        printf '%s\n' "$help" | grep -q -- "$option" || { echo "README: '$command' has no $option"; failed=1; }
    done
done
exit "$failed"
