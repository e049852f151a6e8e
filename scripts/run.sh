#!/bin/sh
# run.sh [--pack DIR|NAME] [pictures...]: set up, build, and find the faces in pictures; without pictures, in pictures
# that the project draws itself. Without a pack the installed one is used, else the one inside the program. Anything
# after the pack goes to `facemill analyze` as it is.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

pack=
case "${1:-}" in
    --pack) [ $# -ge 2 ] || { echo "run: --pack needs a folder or a name" >&2; exit 2; }
            pack=$2; shift 2 ;;
    --pack=*) pack=${1#--pack=}; shift ;;
    -h|--help) echo "usage: sh scripts/run.sh [--pack DIR|NAME] [pictures, or options of 'facemill analyze'...]"; exit 0 ;;
esac

# Standard output is for faces alone.
{
    sh "$root/scripts/setup.sh"
    cd "$root"
    words=$(cmake --preset release) || { echo "$words"; exit 5; }
    cmake --build --preset release || exit 5
    cd "$OLDPWD"
} >&2

drawn=$root/build/drawn
if [ $# -eq 0 ]; then
    rm -rf "$drawn"
    python3 "$root/scripts/draw_faces.py" "$drawn" >/dev/null
    echo "run: no pictures named; drew six of our own into $drawn (with boxes: $drawn/boxes)" >&2
    set -- --draw "$drawn/boxes" "$drawn"/*.png
fi

[ -z "$pack" ] || set -- --pack "$pack" "$@"

facemill=$root/build/apps/facemill/facemill
status=0
"$facemill" analyze "$@" || status=$?
# Only a build that was told to have no pack inside (FM_BUILTIN_PACK=OFF) gets here without one.
if [ "$status" -eq 3 ] && [ -z "$pack${FM_PACK:-}" ] && ! "$facemill" models list --format jsonl 2>/dev/null | grep -q '"pack":'; then
    cat >&2 <<'WORDS'

run: this build has no pack inside and none is installed: facemill needs a folder with the networks as ONNX files, one
     that detects faces (SCRFD, such as det_10g.onnx or det_500m.onnx) and one that embeds them (ArcFace, such as
     w600k_r50.onnx or w600k_mbf.onnx). An untouched insightface folder such as buffalo_l or buffalo_s works. Name it:

         sh scripts/run.sh --pack /path/to/buffalo_l [pictures...]

     or in the environment: FM_PACK=/path/to/buffalo_l. A name alone (--pack buffalo_l) is looked for among installed
     packs and in ~/.insightface/models. Mind the licence of the weights: many are for research only.
WORDS
fi
exit "$status"
