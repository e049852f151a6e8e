#!/bin/sh
# setup_openvino.sh [FOLDER]: the libraries of the onnxruntime-openvino wheel for the provider ort:openvino (x86-64).
#
# They go into FOLDER, or to where the program looks for them: ${XDG_DATA_HOME:-~/.local/share}/facemill/ort-openvino.
# What is there already is left alone, so a second run changes nothing and needs no network. To undo: remove the folder.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

say() { printf 'setup_openvino: %s\n' "$*"; }
fail() { printf 'setup_openvino: %s\n' "$*" >&2; exit 3; }

pinned=$root/packaging/onnxruntime-openvino.txt
version=$(sed -n 's/^onnxruntime-openvino==\([0-9.]*\).*/\1/p' "$pinned")
folder=${1:-${XDG_DATA_HOME:-$HOME/.local/share}/facemill/ort-openvino}
library=libonnxruntime.so.$version

[ "$(uname -m)" = x86_64 ] || fail "the wheel exists for x86-64 only; this machine is $(uname -m)"
if [ -f "$folder/$library" ]; then
    say "ONNX Runtime $version with OpenVINO is there: $folder/$library"
    exit 0
fi
say "fetching ONNX Runtime $version with OpenVINO (libraries and licence, from its Python wheel) into $folder"
mkdir -p "$folder"
work=$(mktemp -d "$folder/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --platform manylinux_2_28_x86_64 --python-version 3.11 --implementation cp --abi cp311 \
    --dest "$work" -r "$pinned" ||
    fail "could not fetch onnxruntime-openvino $version; name another library with --ort-library FILE or FM_ORT_LIBRARY"
python3 -m zipfile -e "$work"/onnxruntime_openvino-*.whl "$work"
rm -f "$work"/onnxruntime/capi/onnxruntime_pybind11_state*

# A wheel holds no links, so libX.so is a copy of libX.so.2541: make it a link again.
for copy in "$work"/onnxruntime/capi/*.so*; do
    for other in "$copy".*; do
        if [ -f "$other" ] && [ ! -L "$other" ] && cmp -s "$copy" "$other"; then
            ln -sf "$(basename "$other")" "$copy"
        fi
    done
done
# Moved one by one, the runtime itself last: the program finds either all of them or none.
for old in "$folder"/lib*.so*; do [ ! -e "$old" ] && [ ! -L "$old" ] || rm -f "$old"; done
mv "$work/onnxruntime/LICENSE" "$work/onnxruntime/ThirdPartyNotices.txt" "$folder/"
for file in "$work"/onnxruntime/capi/*.so*; do
    [ "$(basename "$file")" = "$library" ] || mv "$file" "$folder/"
done
mv "$work/onnxruntime/capi/$library" "$folder/$library"
say "done: --provider ort:openvino finds it there"
