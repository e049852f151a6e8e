#!/bin/sh
# no_pack.sh PROGRAM: a build without a pack inside (FM_BUILTIN_PACK=OFF), where none is named or installed: every command
# that needs one ends with 3 and says what was looked at and what to do. Needs no codec and no runtime.
set -eu
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

facemill() { # ARGUMENTS...: in a home of its own, with nothing of this machine's
    env -u FM_PACK -u XDG_DATA_HOME -u XDG_CONFIG_HOME HOME="$work" "$program" "$@"
}

# expect CODE WORDS ARGUMENTS...: how it ends, and what it says on either output.
expect() {
    code=$1; words=$2; shift 2
    got=0
    facemill "$@" >"$work/said" 2>&1 || got=$?
    if [ "$got" -ne "$code" ] || ! grep -qF -- "$words" "$work/said"; then
        echo "facemill $*: exit code $got, expected $code; no '$words' in:"; cat "$work/said"; failed=1
    fi
}

if facemill models list --format jsonl 2>/dev/null | grep -q '"pack":'; then
    echo "this build has a pack inside"; exit 1
fi
for command in "analyze x.jpg" "detect x.jpg" "compare a.jpg b.jpg" "crop --dir $work/crops x.jpg" "bench --iterations 1" \
        "validate ort:cpu ort:cpu --images $0" "models show" "models verify"; do
    # shellcheck disable=SC2086 # words
    expect 3 "no pack: none was named, FM_PACK is not set, and no pack is installed in '$work/" $command
done
expect 3 "use --pack with a folder of .onnx files, or install one: 'facemill models list'" analyze x.jpg
expect 3 "troubleshooting.md#not_found" analyze x.jpg
expect 3 "there is no pack 'builtin:mini' (--pack named it): this build has no pack inside" analyze --pack builtin:mini x.jpg
expect 3 "no pack 'mini' is installed" models remove mini
expect 0 "facemill: no pack is installed; 'facemill models pull NAME' fetches" models list
facemill doctor >"$work/said" 2>&1 || true # 3 where no runtime is either
grep -q '"id":"networks".*"verdict":"skipped".*no pack: none was named.*"remedy":"name a pack with --pack' "$work/said" ||
    { echo "doctor does not say that no pack is there:"; cat "$work/said"; failed=1; }
exit "$failed"
