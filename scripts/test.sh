#!/bin/sh
# test.sh: set up, build, and run every test there is: the plain build (also on a second ONNX Runtime), a build without
# codecs and pack, the sanitizers, the fuzzers for a moment, aarch64 under emulation. Logs stay in build/test-logs. Ends
# with "N passed, N failed, N skipped".
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
logs=$root/build/test-logs
jobs=$(nproc 2>/dev/null || echo 2)
began=$(date +%s)
if [ -z "${FM_SHARED:-}" ] && [ -d "$root/../shared" ]; then
    FM_SHARED=$(cd "$root/../shared" && pwd); export FM_SHARED
fi

sh scripts/setup.sh --tests
rm -rf "$logs"
mkdir -p "$logs"

# step NAME COMMAND...: run it into a log; remember and show how it ended, with the end of the log.
step() {
    name=$1; shift
    start=$(date +%s)
    ended=pass
    "$@" >"$logs/$name.log" 2>&1 || ended=fail
    echo "$name $ended" >>"$logs/steps"
    printf '== %s: %s (%s s)\n' "$name" "$ended" "$(($(date +%s) - start))"
    if [ "$ended" = fail ] && [ ! -f "$logs/$name.xml" ]; then tail -n 60 "$logs/$name.log"; fi
    grep -E '^([0-9]+% tests passed|Total Test time)|^=+ .* (passed|failed).* =+$' "$logs/$name.log" || true
}

# Address space layout can be too random for the thread sanitizer's shadow memory (vm.mmap_rnd_bits above 28).
unrandomised=
setarch -R true 2>/dev/null && unrandomised="setarch -R"

build() { # PRESET
    step "configure-$1" cmake --preset "$1"
    [ "$ended" = pass ] && step "build-$1" cmake --build --preset "$1" --parallel "$jobs"
    [ "$ended" = pass ]
}

run_tests() { # NAME PRESET CTEST-OPTIONS...
    name=$1; preset=$2; shift 2
    # shellcheck disable=SC2086 # nothing or two words
    step "$name" $unrandomised ctest --preset "$preset" --parallel "$jobs" --output-junit "$logs/$name.xml" \
        --test-output-size-passed 4194304 --test-output-size-failed 4194304 "$@"
}

# A second ONNX Runtime, older, which brings a provider that works on any CPU: OpenVINO. Both lie in one data folder for the
# plain run, so that it leaves out no test of either; then the same tests run on the second alone.
set_up_openvino() {
    if [ "$(uname -m)" != x86_64 ]; then
        step openvino echo "[  SKIPPED ] openvino: its library is for x86-64 only"
        return 1
    fi
    step setup-openvino sh scripts/setup_openvino.sh "$root/build/ort-openvino"
    [ "$ended" = pass ] || return 1
    folder=$root/build/data/facemill
    mkdir -p "$folder"
    ln -sfn "${XDG_DATA_HOME:-$HOME/.local/share}/facemill/ort" "$folder/ort"
    ln -sfn "$root/build/ort-openvino" "$folder/ort-openvino"
}

on_openvino_alone() {
    FM_ORT_LIBRARY=$(echo "$root"/build/ort-openvino/libonnxruntime.so.*); export FM_ORT_LIBRARY
    # What the program does with packs, options and documents does not depend on the runtime.
    run_tests openvino tests --label-regex '^(engine|providers|cli|every_runtime)$' \
        --exclude-regex '^cli_(builtin|generated|guides|manifest|output|packs|precedence|pull|records)$'
}

if build tests; then
    if set_up_openvino; then
        (XDG_DATA_HOME=$root/build/data; export XDG_DATA_HOME; run_tests tests tests)
        (on_openvino_alone)
    else
        run_tests tests tests
    fi
fi
if build minimal; then
    step no-codecs build-minimal/apps/facemill/facemill version
    step no-pack sh tests/cli/no_pack.sh build-minimal/apps/facemill/facemill
fi
if build asan; then run_tests asan asan --exclude-regex check_includes; fi
if build tsan; then
    run_tests tsan tsan --label-regex '^(unit|engine|providers|image)$' \
        --exclude-regex check_includes
fi
step fuzz sh scripts/fuzz.sh 20
step aarch64 sh scripts/cross_aarch64.sh

printf '\n== all steps: %s s\n' "$(($(date +%s) - began))"
python3 scripts/count_results.py "$logs"
