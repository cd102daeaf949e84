#!/usr/bin/env bash
# The four networks of MLPerf Tiny as C from lathe on emulated boards (lathe bench --engine qemu-m4
# and others, GCC -O2): instructions of one inference, arena and stack, bytes of code and constants;
# beside them what TFLite Micro with CMSIS-NN takes there, measured in November 2026 (TFLM 90b983c,
# CMSIS-NN 99f736a6), what onnx2c's code took and what emx-onnx-cgen's takes where that is installed,
# and on how many of eight inputs the outputs are the interpreter's to the bit.
# usage: scripts/compare_tiny.sh [SHARED=../shared] (LATHE=build/release/lathe)
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 -B scripts/compare_tiny/main.py "${LATHE:-build/release/lathe}" "${1:-../shared}"
