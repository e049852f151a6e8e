#!/bin/sh
# fuzz.sh [SECONDS [NAME...]]: build the fuzzers (clang) and run each for SECONDS (default 60), as many at a time
# as there are cores. The corpus grows in build-fuzz/corpus/NAME and is kept from run to run; inputs that crash, hang or take too
# much memory are put into build-fuzz/findings/NAME. Exit 1 when there is one: copy it to tests/fuzz/regressions/NAME
# with the mend.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- onnx image config manifest multipart reply request_json zip
build=$root/build-fuzz

export ASAN_OPTIONS="allocator_may_return_null=1:strict_string_checks=1"
export UBSAN_OPTIONS="print_stacktrace=1"
export LSAN_OPTIONS="suppressions=$root/scripts/lsan.supp:print_suppressions=0"

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz >/dev/null || { cmake --build --preset fuzz; exit 5; }
"$build/tests/fuzz/make_seeds" "$build/tests/fuzz/seeds"

fuzz() { # NAME
    mkdir -p "$build/corpus/$1" "$build/findings/$1"
    seeds="$build/tests/fuzz/seeds/$1"
    [ ! -d "tests/fuzz/regressions/$1" ] || seeds="$seeds tests/fuzz/regressions/$1"
    # shellcheck disable=SC2086 # a list of folders
    "$build/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -max_len=65536 \
        -print_final_stats=1 -artifact_prefix="$build/findings/$1/" "$build/corpus/$1" $seeds \
        >"$build/fuzz_$1.log" 2>&1
}
running=0
for name; do
    fuzz "$name" &
    running=$((running + 1))
    [ $((running % $(nproc))) -ne 0 ] || wait
done
wait

failed=0
printf '%-12s %12s %10s %10s %8s %9s\n' fuzzer executions per-second coverage corpus findings
for name; do
    log=$build/fuzz_$name.log
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    corpus=$(find "$build/corpus/$name" -type f | wc -l)
    findings=$(find "$build/findings/$name" -type f | wc -l)
    printf '%-12s %12s %10s %10s %8s %9s\n' "$name" "${executions:-?}" \
        "$((${executions:-0} / (seconds > 0 ? seconds : 1)))" "${coverage:-?}" "$corpus" "$findings"
    if [ "$findings" -gt 0 ] || [ -z "$executions" ]; then
        failed=1
        grep -E '^(==[0-9]+==ERROR|SUMMARY|.*runtime error)' "$log" | head -n 5 || tail -n 5 "$log"
    fi
done
exit "$failed"
