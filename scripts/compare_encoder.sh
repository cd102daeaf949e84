#!/usr/bin/env bash
# A sentence encoder in integers by lathe, ONNX Runtime and NNCF in one run, from the same calibration
# sentences: how its embeddings rank the pairs of STS-B, how near they are to float's, size, seconds to
# quantize, and the time of one sentence of 64 tokens on one thread in ONNX Runtime and in lathe's own
# engine (runs in alternation, medians).
# usage: scripts/compare_encoder.sh [SHARED=../shared] [PAIRS=1379]   (LATHE=build/release/lathe)
#
# ONNX Runtime: quantize_dynamic and quantize_static (QDQ, uint8 activations, int8 weights, minmax),
# both per channel. NNCF: nncf.quantize with model_type=TRANSFORMER (SmoothQuant), as its
# documentation asks. lathe: --mode dynamic, and static with --effort fast and balanced.
set -euo pipefail
cd "$(dirname "$0")/.."

lathe=${LATHE:-build/release/lathe}
if [ ! -x "$lathe" ]; then
  echo "$lathe is not there: build it first (scripts/test.sh), or name the binary in LATHE" >&2
  exit 6
fi
venv=build/compare_quantizers/venv
if ! "$venv"/bin/python -c 'import onnxruntime, onnx, PIL, sympy, nncf' 2>/dev/null; then
  /usr/bin/python3 -m venv "$venv"
  "$venv"/bin/pip install -q onnxruntime onnx==1.20.1 numpy pillow sympy 'nncf>=3'
fi
exec "$venv"/bin/python -B scripts/compare_encoder.py "$(realpath "$lathe")" "$PWD" "$@"
