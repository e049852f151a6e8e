#!/bin/sh
# setup.sh [--tests|--run]: make a Debian 12 machine ready to build and run facemill (with --tests: to test it too; with
# --run: only to run what was built elsewhere, ONNX Runtime's library included).
#
# Installs the Debian packages that are missing (says which; uses sudo when not root) and puts ONNX Runtime's library
# and licence where the program looks for them: ${XDG_DATA_HOME:-~/.local/share}/facemill/ort. What is there already is
# left alone, so a second run changes nothing and needs no network.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

build_packages="gcc libc6-dev cmake ninja-build pkg-config python3 python3-pip
 libprotobuf-c-dev protobuf-c-compiler libjpeg62-turbo-dev libspng-dev libwebp-dev libheif-dev
 libjansson-dev libzip-dev libcurl4-openssl-dev libmicrohttpd-dev"
test_packages="g++ libcmocka-dev binutils clang libclang-rt-14-dev llvm locales util-linux
 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user python3-numpy python3-pytest
 python3-jsonschema python3-requests python3-yaml systemd groff-base zsh fish openssl curl chromium chromium-driver"
run_packages="libprotobuf-c1 libjpeg62-turbo libspng0 libwebp7 libheif1 libjansson4 libzip4 libcurl4 libmicrohttpd12
 libstdc++6 ca-certificates curl"

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 3; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"
    elif command -v sudo >/dev/null 2>&1; then sudo "$@"
    else fail "not root and no sudo; as root run: $*"
    fi
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing_of() {
    for package in "$@"; do is_installed "$package" || printf ' %s' "$package"; done
}

# Stale or absent package lists show as packages that apt does not know, or as downloads that are gone.
lists_are_usable() {
    for package in "$@"; do
        apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]' || return 1
    done
}

install_packages() {
    command -v apt-get >/dev/null 2>&1 || fail "no apt-get here; install the equivalents of:$*"
    say "installing Debian packages: $*"
    lists_are_usable "$@" || as_root apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "$@" >/dev/null && return 0
    say "trying once more with fresh package lists"
    as_root apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "$@" >/dev/null ||
        fail "apt-get could not install: $*"
}

# Unpacked beside the target and renamed into it, library last: a reader sees a whole library or none.
fetch_runtime() {
    version=$(sed -n 's/^onnxruntime==\([0-9.]*\).*/\1/p' "$root/packaging/onnxruntime.txt")
    folder=${XDG_DATA_HOME:-$HOME/.local/share}/facemill/ort
    library=libonnxruntime.so.$version
    if [ -f "$folder/$library" ]; then
        say "ONNX Runtime $version is there: $folder/$library"
        return
    fi
    say "fetching ONNX Runtime $version (its library and licence, from its Python wheel) into $folder"
    mkdir -p "$folder"
    work=$(mktemp -d "$folder/.new.XXXXXX")
    trap 'rm -rf "$work"' EXIT INT TERM
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --platform "manylinux_2_28_$(uname -m)" --python-version 3.11 --implementation cp --abi cp311 \
        --dest "$work" -r "$root/packaging/onnxruntime.txt" ||
        fail "could not fetch ONNX Runtime $version; give the program another with --ort-library FILE or FM_ORT_LIBRARY"
    python3 -m zipfile -e "$work"/onnxruntime-*.whl "$work"
    for old in "$folder"/libonnxruntime.so*; do [ ! -e "$old" ] || rm -f "$old"; done
    mv "$work/onnxruntime/LICENSE" "$work/onnxruntime/ThirdPartyNotices.txt" "$folder/"
    mv "$work/onnxruntime/capi/$library" "$folder/$library"
    rm -rf "$work"
    trap - EXIT INT TERM
}

case "${1:-}" in
    "") wanted=$build_packages ;;
    --tests) wanted="$build_packages $test_packages" ;;
    --run) wanted=$run_packages ;;
    *) fail "usage: setup.sh [--tests|--run]" ;;
esac
if command -v dpkg-query >/dev/null 2>&1; then
    # shellcheck disable=SC2086 # a list of words
    missing=$(missing_of $wanted)
    # shellcheck disable=SC2086
    if [ -n "$missing" ]; then install_packages $missing; else say "all Debian packages are there"; fi
else
    # shellcheck disable=SC2086
    say "not a Debian system; expecting the equivalents of:" $wanted
fi
[ "${1:-}" = --run ] || fetch_runtime
