#!/usr/bin/env bash
# lathe quantize and ONNX Runtime's quantize_static on one machine, in one run: the same MobileNetV2,
# the same 100 pictures. Prints seconds, peak memory, size and what the int8 models are worth.
# usage: scripts/compare_quantization.sh [LATHE]
set -euo pipefail
cd "$(dirname "$0")/.."

lathe=${1:-build/release/lathe}
if [ ! -x "$lathe" ]; then
  echo "$lathe is not there: build it first (scripts/test.sh), or name the binary" >&2
  exit 6
fi
if ! build/venv/bin/python -c 'import onnxruntime, onnx, PIL' 2>/dev/null; then
  /usr/bin/python3 -m venv build/venv
  build/venv/bin/pip install -q onnxruntime onnx==1.20.1 numpy pillow
fi
exec build/venv/bin/python -B scripts/compare_quantization.py "$(realpath "$lathe")" "$PWD"
