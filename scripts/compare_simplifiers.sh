#!/usr/bin/env bash
# lathe compile and onnxsim (PyPI) on one machine, in one run: how many nodes each leaves of every
# model in ../shared/models (or of those named), its seconds and peak memory, and whether the result
# still computes the same in ONNX Runtime.
# usage: scripts/compare_simplifiers.sh [MODEL.onnx]...     (LATHE=build/release/lathe)
set -euo pipefail
cd "$(dirname "$0")/.."

lathe=${LATHE:-build/release/lathe}
if [ ! -x "$lathe" ]; then
  echo "$lathe is not there: build it first (scripts/test.sh), or name the binary in LATHE" >&2
  exit 6
fi
if ! build/venv/bin/python -c 'import onnxruntime, onnx, PIL, onnxsim' 2>/dev/null; then
  /usr/bin/python3 -m venv build/venv
  build/venv/bin/pip install -q onnxruntime onnx==1.20.1 numpy pillow onnxsim
fi
exec build/venv/bin/python -B scripts/compare_simplifiers.py "$(realpath "$lathe")" "$PWD" "$@"
