#!/usr/bin/env bash
# lathe's engine beside ONNX Runtime, OpenVINO and LibTorch on the same networks, in one run: every
# engine is a process of its own with the same number of threads, and they take turns in rounds of
# random order, so that a slow moment of the machine meets all. Median and least latency, time to
# load, peak memory, and the share of what this machine's arithmetic can do.
# With --files: lathe's files of every mode (static, dynamic, weight-only, float16) in ONNX Runtime
# and OpenVINO beside those of their own quantizers; code 1 where one takes more than 1.05 of their
# time. With --loading: what it costs to load lathe's plans and ONNX Runtime's sessions.
# usage: scripts/compare_engines.sh [--files | --loading] [--models LIST] [--threads 1,2]
#        [--batch 1,8] [--rounds N] [--seconds S] [--only ENGINES] [--busy N] [--json FILE] ...;
#        --help tells all (LATHE=build/release/lathe)
#
# Everybody gets the file that suits it best, and int8 engines lathe's file too:
# - lathe: `lathe quantize MODEL --data random`, and the float file.
# - ONNX Runtime: its own quantize_static (as in compare_quantizers.sh: Q/DQ, uint8 activations,
#   int8 weights with one scale a channel) and the same as QLinear ops; for networks without Conv
#   its quantize_dynamic; lathe's file; the float file. All optimizations; inputs, outputs bound.
# - OpenVINO: NNCF's file, ONNX Runtime's, lathe's (--profile openvino); the float file, computed in
#   float32 and as it is by default (bfloat16 where the processor has it). Latency hint, one stream,
#   not pinned.
# - LibTorch: `lathe compile --target torchscript`, optimize_for_inference (Debian's python3-torch).
# Weights are random but scaled as in trained networks; latency does not depend on them.
# What is made is kept in build/compare_engines by tool, version and model.
set -euo pipefail
cd "$(dirname "$0")/.."

lathe=${LATHE:-build/release/lathe}
if [ ! -x "$lathe" ]; then
  echo "$lathe is not there: build it first (scripts/test.sh), or name the binary in LATHE" >&2
  exit 6
fi
venv=build/compare_engines/venv
if ! "$venv"/bin/python -c 'import onnxruntime, openvino, onnx, onnx_ir, sympy' 2>/dev/null; then
  /usr/bin/python3 -m venv "$venv"
  "$venv"/bin/pip install -q onnxruntime openvino onnx==1.20.1 onnx-ir numpy sympy
fi
# Without NNCF its files are left out; it needs much that the others do not.
"$venv"/bin/python -c 'import nncf' 2>/dev/null || "$venv"/bin/pip install -q 'nncf>=3' ||
  echo "NNCF could not be installed: OpenVINO runs the other files only" >&2
exec "$venv"/bin/python -B scripts/compare_engines/main.py "$(realpath "$lathe")" "$PWD" "$@"
