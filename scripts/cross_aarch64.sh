#!/bin/sh
# cross_aarch64.sh [FOLDER]: compile base, onnx, kernels, models and device for aarch64 with every warning an error, then
# run the kernel and device tests in an emulator. FOLDER (default build-aarch64) takes the objects. Says "SKIPPED" when the cross
# compiler or the emulator is not there. Needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user, protobuf-c-compiler.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
build=${1:-build-aarch64}
compiler=aarch64-linux-gnu-gcc

skip() { # NAME REASON
    printf '%s\n[  SKIPPED ] %s\n' "$2" "$1"
    exit 0
}
have() { command -v "$1" >/dev/null 2>&1; }

have $compiler || skip "aarch64 build and tests" "no $compiler: install gcc-aarch64-linux-gnu and libc6-dev-arm64-cross"
rm -rf "$build"
mkdir -p "$build/include" "$build/schema"

# The schema's header, protobuf-c's and jansson's are the same on every processor; only those of the host are made visible.
have protoc-c || skip "aarch64 build and tests" "no protoc-c: install protobuf-c-compiler"
protoc-c --c_out="$build/schema" --proto_path=lib/onnx onnx.proto
ln -s "$(pkg-config --variable=includedir libprotobuf-c)/protobuf-c" "$build/include/protobuf-c"
ln -s "$(pkg-config --variable=includedir jansson)"/jansson*.h "$build/include/"

flags="-std=c11 -O2 -g -D_POSIX_C_SOURCE=200809L -D_XOPEN_SOURCE=700 -Wall -Wextra -Werror -Wshadow -Wconversion
    -Wno-format-truncation -Wstrict-prototypes -Wmissing-prototypes -Wvla -fvisibility=hidden -fstack-protector-strong -ffp-contract=off
    -Iinclude -Ilib -Itests/kernels -I$build/schema -isystem $build/include"

# compile SOURCE...: into $build, names with _ for /; as many at a time as there are cores.
compile() {
    # shellcheck disable=SC2086 # a list of flags
    printf '%s\n' "$@" | xargs -P "$(nproc)" -I {} sh -c '
        source=$1; shift
        object=$(printf %s "${source%.c}" | tr / _).o
        "$@" -c "$source" -o "'"$build"'/$object" || exit 255' sh {} $compiler $flags
}

sources=
for folder in base onnx kernels models device; do
    for source in lib/$folder/*.c; do
        case $source in
            *_avx2.c | *_avx512.c | *'*.c') ;;
            *) sources="$sources $source" ;;
        esac
    done
done
# shellcheck disable=SC2086 # a list of files
compile $sources tests/kernels/*.c tests/device/*.c
echo "aarch64: $(printf '%s\n' $sources | wc -l) sources of lib compile without a warning"

link() { # NAME OBJECT...: a test program with base (but for what needs jansson's library), kernels and device
    name=$1; shift
    rm -f "$build/lib_base_json_read.o"
    $compiler -static -o "$build/$name" "$@" "$build/tests_kernels_harness.o" "$build/tests_kernels_recipe.o" \
        "$build"/lib_base_*.o "$build"/lib_kernels_*.o "$build"/lib_device_*.o -lm -lpthread -ldl 2>"$build/link.log" ||
        { cat "$build/link.log"; exit 1; }
}
link test_kernels "$build"/tests_kernels_[!hr]*.o
link test_device "$build"/tests_device_*.o

have qemu-aarch64 || skip "aarch64 kernel and device tests" "no qemu-aarch64: install qemu-user"
qemu-aarch64 "$build/test_kernels"
qemu-aarch64 "$build/test_device"
