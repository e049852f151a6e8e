#!/bin/sh
# hardening.sh FILE...: programs and libraries are position independent, have read-only relocations bound at start, no
# executable stack, stack protectors, and calls that check their buffers; what is opened when used is not linked.
set -eu
failed=0
wrong() { echo "$file: $*"; failed=1; }

for file in "$@"; do
    readelf -hW "$file" | grep -q 'Type: *DYN' || wrong "not position independent"
    readelf -lW "$file" | grep -q 'GNU_RELRO' || wrong "no read-only relocations"
    readelf -dW "$file" | grep -Eq 'BIND_NOW|FLAGS.* NOW' || wrong "symbols are not bound at start"
    readelf -lW "$file" | grep 'GNU_STACK' | grep -q 'RW ' || wrong "executable stack"
    ! readelf -lW "$file" | grep 'LOAD' | grep -q 'RWE' || wrong "a segment is writable and executable"
    readelf -sW "$file" | grep -q '__stack_chk_fail' || wrong "no stack protector"
    readelf -sW "$file" | grep -Eq '__(v?snprintf|memcpy|memset|read|fprintf|vfprintf|strcpy|strcat)_chk' ||
        wrong "no _FORTIFY_SOURCE"
    ! readelf -dW "$file" | grep -E 'NEEDED.*lib(onnxruntime|curl|zip)\.' || wrong "linked, not opened when used"
done
exit "$failed"
