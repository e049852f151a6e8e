#!/bin/sh
# test_check_includes.sh ROOT: scripts/check_includes.py passes the tree as it is, and finds each kind of violation when
# it is planted in a copy. Each plant names the file, the line that must be reported, and a word of the message.
set -eu
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
check="$root/scripts/check_includes.py"
: >"$work/failed" # one line per failure and per plant: pipelines run in shells of their own
: >"$work/planted"

copy() {
    rm -rf "$work/tree"
    mkdir "$work/tree"
    for folder in include lib service apps tests bench; do
        if [ -d "$root/$folder" ]; then cp -R "$root/$folder" "$work/tree/"; fi
    done
}

# plant FILE LINE WORD: what stands on standard input becomes FILE; line LINE of it must be reported with WORD.
plant() {
    mkdir -p "$(dirname "$work/tree/$1")"
    cat >"$work/tree/$1"
    status=0
    python3 "$check" "$work/tree" "$1" >"$work/out" 2>&1 || status=$?
    if [ "$status" -ne 4 ] || ! grep -qE "^$1:$2: .*$3" "$work/out"; then
        echo "not found: $1:$2 ($3), exit status $status:"
        cat "$work/out"
        echo "$1" >>"$work/failed"
    fi
    rm -f "$work/tree/$1"
    echo "$1" >>"$work/planted"
}

# allow FILE: what stands on standard input becomes FILE; nothing may be reported in it.
allow() {
    mkdir -p "$(dirname "$work/tree/$1")"
    cat >"$work/tree/$1"
    if ! python3 "$check" "$work/tree" "$1" >"$work/out" 2>&1; then
        echo "reported without reason:"
        cat "$work/out"
        echo "$1" >>"$work/failed"
    fi
    rm -f "$work/tree/$1"
    echo "$1" >>"$work/planted"
}

include() { printf '/* Planted. */\n#include %s\n' "$1"; }
lines() { awk -v count="$1" 'BEGIN { for (i = 0; i < count; i++) print "'"$2"'" }'; }

copy
if ! python3 "$check" "$work/tree" >"$work/out" 2>&1; then
    echo "the tree itself has violations:"
    cat "$work/out"
    echo tree >>"$work/failed"
fi
# One plant is looked for in the whole tree, as the build does it; the others by name, which is quicker.
include '"engine/engine.h"' >"$work/tree/lib/models/planted.c"
status=0
python3 "$check" "$work/tree" >"$work/out" 2>&1 || status=$?
if [ "$status" -ne 4 ] || ! grep -q '^lib/models/planted.c:2: ' "$work/out"; then
    echo "not found in the whole tree, exit status $status"
    echo whole >>"$work/failed"
fi
rm "$work/tree/lib/models/planted.c"

# Arrows that are not in the table, each wall once.
include '"kernels/kernels.h"' | plant lib/base/planted.c 2 'lib/base must not include lib/kernels'
include '"device/device.h"' | plant lib/kernels/planted.c 2 'must not include lib/device'
include '"kernels/kernels.h"' | plant lib/onnx/planted.c 2 'must not include lib/kernels'
include '"onnx/graph.h"' | plant lib/device/planted.c 2 'must not include lib/onnx'
include '"models/pack.h"' | plant lib/image/planted.c 2 'must not include lib/models'
include '"image/image.h"' | plant lib/models/planted.c 2 'must not include lib/image'
include '"providers/provider.h"' | plant lib/models/planted.c 2 'must not include lib/providers'
include '"models/pack.h"' | plant lib/providers/planted.c 2 'must not include lib/models'
include '"image/image.h"' | plant lib/providers/ort/planted.c 2 'lib/providers must not include lib/image'
include '"engine/engine.h"' | plant lib/providers/planted.c 2 'must not include lib/engine'
include '"config/config.h"' | plant lib/engine/planted.c 2 'must not include service'
include '"image/image.h"' | plant service/config/planted.c 2 'service must not include lib/image'
include '"engine/engine.h"' | plant apps/facemill/planted.c 2 'apps must not include lib/engine'
include '"base/os.h"' | plant include/facemill/planted.h 2 'must not include lib/base'
include '"base/os_posix.h"' | plant lib/engine/planted.c 2 'private'
include '"base/memory.h"' | plant lib/novelty/planted.c 1 'not in the include table'
include '"../base/memory.h"' | plant lib/image/planted.c 2 'climbs out'
include '"memory.h"' | plant lib/base/planted.c 2 'folder/file.h'
printf '#if 0\n#  include "engine/engine.h" /* indented, conditional */\n#endif\n' |
    plant lib/models/planted.c 2 'must not include lib/engine'

# Foreign headers and the operating system outside their one folder.
include '<jpeglib.h>' | plant lib/engine/planted.c 2 'lib/image only'
include '<webp/decode.h>' | plant apps/facemill/planted.c 2 'lib/image only'
include '<protobuf-c/protobuf-c.h>' | plant lib/models/planted.c 2 'lib/onnx only'
include '<immintrin.h>' | plant lib/image/planted.c 2 'lib/base and lib/kernels only'
include '<curl/curl.h>' | plant service/config/planted.c 2 'service/packs and service/client and service/http only'
include '<zip.h>' | plant apps/facemill/planted.c 2 'service/packs only'
include '<curl/curl.h>' | allow service/packs/planted.c
include '<microhttpd.h>' | plant service/client/planted.c 2 'service/http only'
include '<microhttpd.h>' | allow service/http/planted.c
include '<openssl/ssl.h>' | plant service/config/planted.c 2 'neither standard C nor'
for header in pthread.h dlfcn.h sys/mman.h dirent.h unistd.h sys/stat.h fcntl.h signal.h threads.h; do
    include "<$header>" | plant lib/engine/planted.c 2 'os_\*'
    include "<$header>" | allow lib/base/os_planted.c
done
include '<pthread.h>' | plant lib/base/planted.c 2 'os_\*'
include '<pthread.h>' | plant lib/base/os_planted.h 2 'os_\*'

# Style.
lines 801 '' | plant lib/base/planted.c 801 'more than 800 lines'
{ printf 'int fm_long(void) {\n'; lines 79 '    ;'; printf '}\n'; } | plant lib/base/planted.c 1 'fm_long.* 81 lines'
{ printf '\n\nstatic struct a *long_one(int a,\n    int b)\n{\n'; lines 90 '    ;'; printf '}\n'; } |
    plant tests/unit/planted.c 3 'long_one.* 94 lines'
printf 'int loose(void) {\n    return 0;\n}\n' | plant lib/base/planted.c 1 "loose.* without 'fm_'"
printf '__attribute__((cold))\nvoid\nloose(int a)\n{\n    (void)a;\n}\n' | plant apps/facemill/planted.c 1 "without 'fm_'"
printf 'const int table[] = {1};\n' | plant lib/kernels/planted.c 1 "'table' is visible"
printf 'int fm_count;\n' | plant lib/kernels/planted.c 1 'global variable'
printf 'static int count;\n' | plant lib/kernels/planted.c 1 'changing state'
printf 'int fm_next(void) {\n    static int count = 0;\n    return count++;\n}\n' |
    plant lib/kernels/planted.c 2 'changing state'
printf 'void *fm_take(void) {\n    return malloc(3);\n}\n' | plant lib/image/planted.c 2 'base/memory.h'
printf 'void fm_put(char *a, const char *b) {\n    strcpy(a, b);\n}\n' | plant service/config/planted.c 2 'strcpy'
printf '/* Planted. */\n\tint fm_tab(void);\n' | plant tests/unit/planted.h 2 'a tab'
printf '/* %s */\n' "$(lines 30 wide | tr '\n' ' ')" | plant bench/planted.c 1 'columns'
printf '/* FIX%s later */\n' ME | plant tests/unit/planted.c 1 'note to self'

# What looks like a violation and is none.
allow lib/engine/planted.c <<'END'
/* #include <pthread.h>
   int loose(void) { malloc(1); } */
#include <facemill/facemill.h>
#include "base/os.h"
#include "image/image.h"
#define PLANTED(name) int name(void) { return 0; }
struct planted { int (*free)(int); };
enum planted_kind { PLANTED_A = 1 };
typedef int planted_function(int value);
static const char *const names[] = {"malloc(", "}"};
const char fm_planted_brace = '{';
static int add(int a) { return a + (int)names[0][0]; }
int fm_planted(struct planted *planted) {
    static const int one = 1;
    return add(one) + planted->free(1);
}
END
include '<pthread.h>' | allow tests/unit/planted.c
include '"engine/engine.h"' | allow bench/planted.c

# A folder that is not the project is a usage error, not a pass.
status=0
python3 "$check" "$work" >/dev/null 2>&1 || status=$?
if [ "$status" -ne 2 ]; then
    echo "a foreign folder: exit status $status, expected 2"
    echo foreign >>"$work/failed"
fi

failures=$(wc -l <"$work/failed")
echo "$(wc -l <"$work/planted") plants, $failures not as they should be"
[ "$failures" -eq 0 ]
