#!/bin/sh
# Runs check_cost.py with a Python that has onnxruntime and onnx: $FM_PEER_PYTHON, else python3. 77: there is none (skipped).
python=${FM_PEER_PYTHON:-python3}
if ! "$python" -c 'import onnxruntime, onnx, numpy' 2>/dev/null; then
    echo "skipped: $python has no onnxruntime and onnx (name one that has with FM_PEER_PYTHON)"
    exit 77
fi
exec "$python" "$(dirname "$0")/check_cost.py" "$@"
