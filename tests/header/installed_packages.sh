#!/bin/sh
# After `cmake --install` into a folder of its own, moved away afterwards, a project finds facemill through pkg-config
# (shared and static) and through find_package (shared and static), and all four programs decode the same picture.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$BUILD" --prefix "$work/first" >"$work/log" || { cat "$work/log"; exit 1; }
mv "$work/first" "$work/prefix" # the packages must not remember where they were
libraries=$(dirname "$(find "$work/prefix" -name libfacemill.a)")
consumer=$SOURCE/tests/header/consumer
python3 "$SOURCE/scripts/draw_faces.py" "$work" --count 1 >"$work/drawn.jsonl"

export PKG_CONFIG_PATH="$libraries/pkgconfig"
# shellcheck disable=SC2046 # lists of flags
"$CC" "$consumer/consumer.c" -o "$work/pc_shared" $(pkg-config --cflags --libs facemill) -Wl,-rpath,"$libraries"
# shellcheck disable=SC2046
"$CC" "$consumer/consumer.c" -o "$work/pc_static" $(pkg-config --cflags --libs facemill-static)

cmake -S "$consumer" -B "$work/build" -G Ninja -DCMAKE_C_COMPILER="$CC" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" ||
    { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" || { cat "$work/log"; exit 1; }

# The shared library asks nothing of whoever compiles against it.
alone=$(env PKG_CONFIG_LIBDIR="$libraries/pkgconfig" pkg-config --cflags --libs facemill) || exit 1
case "$alone" in *heif*|*jpeg*) echo "facemill.pc leaks its codecs: $alone"; exit 1 ;; esac

# The guides that errors name are there.
[ -f "$work/prefix/share/doc/facemill/troubleshooting.md" ] || { echo "the guides are not installed"; exit 1; }

version=$(pkg-config --modversion facemill)
for program in "$work/pc_shared" "$work/pc_static" "$work/build/with_shared" "$work/build/with_static"; do
    words=$("$program" "$work/drawn_1.png") || { echo "$program: $words"; exit 1; }
    [ "$words" = "facemill $version: 226 x 252" ] || { echo "$program says: $words"; exit 1; }
done
for program in "$work/pc_static" "$work/build/with_static"; do
    ! readelf -d "$program" | grep -q 'NEEDED.*libfacemill' || { echo "$program is not static"; exit 1; }
done
readelf -d "$work/pc_shared" | grep -q 'NEEDED.*libfacemill.so.0' || { echo "no soname libfacemill.so.0"; exit 1; }
if [ -x "$BUILD/apps/facemill/facemill" ]; then
    "$work/prefix/bin/facemill" version >/dev/null || { echo "the installed program does not start"; exit 1; }
fi
