#!/usr/bin/env bash
# lathe quantize, ONNX Runtime's quantize_static and NNCF on every real model any of them reads,
# in one environment: the same calibration samples for all, others to judge by, and ONNX Runtime
# executes every file; besides, networks that are made to be hard (hard_cases.py), and with
# --calibration 8,16,24,48,0 each with so few samples. Prints quality, cost and latency side by side;
# writes table.md, results.json and results.csv to build/compare_quantizers/results.
# usage: scripts/compare_quantizers.sh [SHARED=../shared] [--models GLOB] [--tools LIST]
#        [--efforts LIST=balanced] [--calibration LIST] [--again] ...; --help tells all
#        (LATHE=build/release/lathe)
#
# Everybody is given what its own documentation advises for int8 on an x86 CPU:
# - lathe: `lathe quantize MODEL --data SPEC -o OUT --effort X`, the model file as it is.
# - ONNX Runtime: quant_pre_process, then quantize_static with Q/DQ, asymmetric uint8 activations,
#   symmetric int8 weights with one scale a channel; minmax, entropy and percentile, each with its
#   defaults (its entropy has 128 bins for 128 steps: it chooses what minmax does). Models below
#   opset 13 are converted to 13 first (it writes invalid files otherwise). Where a step fails, the
#   next best is tried (no symbolic shapes, no widening of scales for the bias, no graph
#   optimization, one scale a weight), and the row says so.
# - NNCF: nncf.quantize on the ONNX file with its defaults (symmetric activations where signed, fast
#   bias correction), all samples in its subset; opset conversion as above. Both transformers also
#   with model_type=TRANSFORMER, as its documentation asks (asymmetric activations, SmoothQuant).
# Results of the other tools are kept under build/ by tool, version, settings, model and samples.
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
exec "$venv"/bin/python -B scripts/compare_quantizers/main.py "$(realpath "$lathe")" "$PWD" "$@"
