#!/bin/sh
# test.sh: set up, build, and run every test there is: the plain build (also on a second ONNX Runtime), a build without
# codecs, the sanitizers, the fuzzers for a moment, aarch64 under emulation. Logs stay in build/test-logs. Ends with
# "N passed, N failed, N skipped".
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

# A locale with a decimal comma, for the test that our numbers never take one.
locale=$root/build/locale
mkdir -p "$locale"
if [ -d "$locale/de_DE.UTF-8" ] || localedef -i de_DE -f UTF-8 "$locale/de_DE.UTF-8"; then
    LOCPATH=$locale; export LOCPATH
fi

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

# The same tests on another ONNX Runtime: an older one, which brings a second provider that works on any CPU.
test_openvino() {
    if [ "$(uname -m)" != x86_64 ]; then
        step openvino echo "[  SKIPPED ] openvino: its library is for x86-64 only"
        return 0
    fi
    step setup-openvino sh scripts/setup_openvino.sh "$root/build/ort-openvino"
    [ "$ended" = pass ] || return 0
    FM_ORT_LIBRARY=$(echo "$root"/build/ort-openvino/libonnxruntime.so.*); export FM_ORT_LIBRARY
    run_tests openvino tests --label-regex '^(engine|providers|cli)$'
    unset FM_ORT_LIBRARY
}

if build tests; then
    run_tests tests tests
    test_openvino
fi
if build minimal; then
    step no-codecs build-minimal/apps/facemill/facemill version
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
