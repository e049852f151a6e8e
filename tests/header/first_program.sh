#!/bin/sh
# The program in the public header's opening comment compiles as it stands, without a warning, as C11, C17 and C++17,
# says what is wrong when the pack is not there, and finds drawn faces when one is ($FM_SHARED has test networks).
set -eu
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

python3 "$SOURCE/scripts/draw_faces.py" "$work" --count 2 >"$work/drawn.jsonl"
pack=${FM_SHARED:-$SOURCE/../shared}/models/det_500m.onnx
for program in c11 c17 cxx17; do
    status=0
    "$work/$program" "$work/drawn_2.png" "$work/no-such-pack" >"$work/words" || status=$?
    if [ "$status" -ne 1 ] || ! grep -q 'no-such-pack' "$work/words"; then
        echo "$program without a pack: exit $status, words: $(cat "$work/words")"; exit 1
    fi
    if [ -f "$pack" ]; then
        "$work/$program" "$work/drawn_2.png" "$pack" >"$work/faces" || { cat "$work/faces"; exit 1; }
        found=$(grep -c '^face at [0-9]*,[0-9]* score 0\.[5-9]' "$work/faces" || true)
        [ "$found" -eq 2 ] || { echo "$program: $found faces, 2 drawn"; cat "$work/faces"; exit 1; }
    else
        echo "$program: no network at $pack, so nothing was detected"
    fi
done
