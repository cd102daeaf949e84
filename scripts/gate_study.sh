#!/usr/bin/env bash
# Can CI live with the gate? A model against itself and against itself with 5 % of work added, many
# times over, while every core is also kept busy. Prints the table of verdicts.
# usage: scripts/gate_study.sh [MODEL.onnx] [RUNS]      (LATHE=build/release/lathe, LOAD=0 for none)
# Exit 0: no false "regressed", and the slower model found in at least 95 % of the runs; else 4.
set -euo pipefail
cd "$(dirname "$0")/.."

lathe=${LATHE:-build/release/lathe}
model=${1:-../shared/models/pcb_simple_cnn_fp32.onnx}
runs=${2:-40}
if [ ! -x "$lathe" ]; then
  echo "$lathe is not there: build it first (scripts/test.sh), or name the binary in LATHE" >&2
  exit 6
fi

loops=()
trap '[ ${#loops[@]} -eq 0 ] || kill "${loops[@]}" 2>/dev/null || true' EXIT
if [ "${LOAD:-1}" != 0 ]; then
  for _ in $(seq "$(nproc)"); do
    (while :; do :; done) &
    loops+=($!)
  done
fi
python3 -B scripts/gate_study.py "$lathe" "$model" "$runs"
