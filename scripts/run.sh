#!/bin/sh
# run.sh [--pack DIR|NAME] [pictures...]: set up, build, and find the faces in pictures; without pictures, in pictures
# that the project draws itself. Anything after the pack goes to `facemill analyze` as it is.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

case "${1:-}" in
    --pack) [ $# -ge 2 ] || { echo "run: --pack needs a folder or a name" >&2; exit 2; }
            FM_PACK=$2; export FM_PACK; shift 2 ;;
    --pack=*) FM_PACK=${1#--pack=}; export FM_PACK; shift ;;
    -h|--help) echo "usage: sh scripts/run.sh [--pack DIR|NAME] [pictures, or options of 'facemill analyze'...]"; exit 0 ;;
esac

sh "$root/scripts/setup.sh"
(cd "$root" && cmake --preset release -DFM_BUILD_TESTS=OFF >build.log 2>&1 || { cat build.log; exit 5; }
 rm -f build.log && cmake --build build --target facemill facemill_shared) || exit 5

drawn=$root/build/drawn
if [ $# -eq 0 ]; then
    rm -rf "$drawn"
    python3 "$root/scripts/draw_faces.py" "$drawn" >/dev/null
    echo "run: no pictures named; drew six of our own into $drawn (with boxes: $drawn/boxes)"
    set -- --draw "$drawn/boxes" "$drawn"/*.png
fi

status=0
"$root/build/apps/facemill/facemill" analyze "$@" || status=$?
if [ "$status" -eq 3 ] && [ -z "${FM_PACK:-}" ]; then
    cat >&2 <<'WORDS'

run: facemill needs a pack: a folder with the networks as ONNX files, one that detects faces (SCRFD, such as
     det_10g.onnx or det_500m.onnx) and one that embeds them (ArcFace, such as w600k_r50.onnx or w600k_mbf.onnx).
     An untouched insightface folder such as buffalo_l or buffalo_s works. Name it:

         sh scripts/run.sh --pack /path/to/buffalo_l [pictures...]

     or in the environment: FM_PACK=/path/to/buffalo_l. A name alone (--pack buffalo_l) is looked for among installed
     packs and in ~/.insightface/models. Mind the licence of the weights: many are for research only.
WORDS
fi
exit "$status"
