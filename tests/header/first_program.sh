#!/bin/sh
# The program in the public header's opening comment compiles as it stands, without a warning, as C11, C17 and C++17,
# says what is wrong when the pack is not there, and prints the faces of a picture whose faces are known: a generated
# pack ($1 writes it) and two of its squares. Only a runtime library is needed (77 without).
set -eu
make_pack=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LD_LIBRARY_PATH="$BUILD"

sed -n '/^   #include </,/^   }$/s/^   //p' "$SOURCE/include/facemill/facemill.h" >"$work/program.c"
cp "$work/program.c" "$work/program.cc"
lines=$(sed -n '/^int main/,/^}/p' "$work/program.c" | wc -l)
[ "$lines" -eq 10 ] || { echo "main() in the header has $lines lines, not 10"; exit 1; }

flags="-Wall -Wextra -Wpedantic -Werror -I$SOURCE/include"
# shellcheck disable=SC2086
"$CC" -std=c11 $flags "$work/program.c" -o "$work/c11" -L"$BUILD" -lfacemill
# shellcheck disable=SC2086
"$CC" -std=c17 $flags "$work/program.c" -o "$work/c17" -L"$BUILD" -lfacemill
if command -v g++ >/dev/null; then
    # shellcheck disable=SC2086
    g++ -std=c++17 $flags "$work/program.cc" -o "$work/cxx17" -L"$BUILD" -lfacemill
else
    echo "no C++ compiler"; exit 77
fi

"$make_pack" "$work/pack"
python3 - "$work/squares.png" <<'END'
import struct, sys, zlib
width, height = 640, 160
rows = [bytearray(3 * width) for _ in range(height)]
for left, top, side, colour in ((32, 16, 8, (240, 0, 0)), (320, 64, 16, (240, 0, 240))):
    for y in range(top, top + side):
        rows[y][3 * left:3 * (left + side)] = bytes(colour) * side
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
with open(sys.argv[1], "wb") as out:
    out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
              chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))) + chunk(b"IEND", b""))
END
# What fm_maker_expect_face (tests/support) says of these two squares.
cat >"$work/expected" <<'END'
face at 14,-6 score 0.87
face at 285,21 score 0.80
END
for program in c11 c17 cxx17; do
    status=0
    "$work/$program" "$work/squares.png" "$work/no-such-pack" >"$work/words" || status=$?
    if [ "$status" -ne 1 ] || ! grep -q 'no-such-pack' "$work/words"; then
        echo "$program without a pack: exit $status, words: $(cat "$work/words")"; exit 1
    fi
    if ! "$work/$program" "$work/squares.png" "$work/pack" >"$work/faces"; then
        cat "$work/faces"
        grep -q 'setup.sh\|pip install onnxruntime' "$work/faces" && exit 77 # no runtime library here
        exit 1
    fi
    sort "$work/faces" | cmp - "$work/expected" || { echo "$program:"; cat "$work/faces"; exit 1; }
done
