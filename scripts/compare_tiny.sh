#!/usr/bin/env bash
# The four networks of MLPerf Tiny as C from lathe on a Cortex-M4 (QEMU's mps2-an386, GCC -O2):
# instructions of one inference, exactly (two runs, subtracted), arena and stack as painted, bytes of
# code and constants; beside them what TFLite Micro with CMSIS-NN takes there, measured in the same
# way in November 2026 (TFLM 90b983c, CMSIS-NN 99f736a6). One more run on this host says whether the
# outputs are the same bytes.
# usage: scripts/compare_tiny.sh [SHARED=../shared] (LATHE=build/release/lathe)
#        needs gcc-arm-none-eabi, libnewlib-arm-none-eabi, qemu-system-arm and gcc of Debian
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in arm-none-eabi-gcc qemu-system-arm gcc python3; do
  if ! command -v "$tool" > /dev/null; then
    echo "$tool is not there: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm gcc python3" >&2
    exit 6
  fi
done
exec python3 -B scripts/compare_tiny/main.py "${LATHE:-build/release/lathe}" "$PWD" "${1:-../shared}"
