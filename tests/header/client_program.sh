#!/bin/sh
# client_program.sh PROGRAM MAKE_TEST_PACK: the C example of docs/client.md compiles as it stands as C11 and C++17 against
# the installed packages, shared and static, and prints the same faces when a worker answers and when none does.
# Only a runtime library is needed (77 without).
set -eu
program=$1
make_pack=$2
work=$(mktemp -d)
worker=
finish() {
    [ -z "$worker" ] || kill "$worker" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

cmake --install "$BUILD" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
libraries=$(dirname "$(find "$work/prefix" -name libfacemill.a)")
export PKG_CONFIG_PATH="$libraries/pkgconfig"

awk '/^```c$/ { inside = 1; next } /^```/ { inside = 0 } inside' "$SOURCE/docs/client.md" >"$work/example.c"
[ -s "$work/example.c" ] || { echo "docs/client.md has no example in C"; exit 1; }
cp "$work/example.c" "$work/example.cc"
flags="-Wall -Wextra -Wpedantic -Werror"
# shellcheck disable=SC2046,SC2086 # lists of flags
"$CC" -std=c11 $flags "$work/example.c" -o "$work/shared" $(pkg-config --cflags --libs facemill-client) -Wl,-rpath,"$libraries"
# shellcheck disable=SC2046,SC2086
"$CC" -std=c11 $flags "$work/example.c" -o "$work/static" $(pkg-config --cflags --libs facemill-client-static)
! readelf -d "$work/static" | grep -q 'NEEDED.*libfacemill' || { echo "the static program is not static"; exit 1; }
for file in "$work/shared" "$work/static" "$libraries/libfacemill-client.so"; do
    ! readelf -d "$file" | grep -q 'NEEDED.*libcurl' || { echo "$file links libcurl"; exit 1; }
done
if command -v g++ >/dev/null; then
    printf '#include <facemill/facemill_client.h>\nint main() { fm_client_close(nullptr); }\n' >"$work/header.cc"
    # shellcheck disable=SC2046,SC2086
    g++ -std=c++17 $flags "$work/header.cc" -o "$work/cxx17" $(pkg-config --cflags --libs facemill-client) -Wl,-rpath,"$libraries"
fi
cat >"$work/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.21)
project(consumer C)
find_package(facemill REQUIRED)
add_executable(by_shared example.c)
target_link_libraries(by_shared PRIVATE facemill::client)
add_executable(by_static example.c)
target_link_libraries(by_static PRIVATE facemill::client_static)
END
cmake -S "$work" -B "$work/build" -G Ninja -DCMAKE_C_COMPILER="$CC" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" || { cat "$work/log"; exit 1; }

"$make_pack" "$work/pack"
export FM_PACK="$work/pack" no_proxy=127.0.0.1
unset FM_CONFIG FM_OUTPUT FM_QUIET FM_LOG_LEVEL FM_LISTEN
python3 "$SOURCE/scripts/draw_faces.py" "$work" --count 1 >"$work/drawn.jsonl"
"$program" providers --format jsonl | grep -q '"provider":"ort:cpu","available":true' || { echo "no runtime library"; exit 77; }
mkfifo "$work/first"
"$program" serve --listen 127.0.0.1:0 >"$work/first" 2>"$work/serve.log" &
worker=$!
read -r line <"$work/first"
url=$(printf '%s' "$line" | sed -n 's/.*"listening":\["\([^"]*\)".*/\1/p')
[ -n "$url" ] || { cat "$work/serve.log"; exit 1; }
for example in "$work/shared" "$work/static" "$work/build/by_shared" "$work/build/by_static"; do
    "$example" "$url" "$work/drawn_1.png" >"$work/there" 2>"$work/words" || { cat "$work/there" "$work/words"; exit 1; }
    "$example" http://127.0.0.1:1 "$work/drawn_1.png" >"$work/here" 2>"$work/words" || { cat "$work/here" "$work/words"; exit 1; }
    grep -q "$url" "$work/there" || { echo "no word of the worker:"; cat "$work/there"; exit 1; }
    grep -q 'local' "$work/here" || { echo "no word of the engine here:"; cat "$work/here"; exit 1; }
    grep -q 'no worker answers' "$work/words" || { echo "it was not said that no worker answers"; exit 1; }
    sed "s|$url|local|" "$work/there" | cmp - "$work/here" || { cat "$work/there" "$work/here"; exit 1; }
done
