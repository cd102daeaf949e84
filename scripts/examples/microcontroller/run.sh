#!/usr/bin/env bash
# Compiles a network with one input and one output to C, builds it for a Cortex-M4 and runs it under
# QEMU. Start-up code and linker script are those of `lathe bench --engine qemu-m4`.
# usage: scripts/examples/microcontroller/run.sh MODEL.onnx (LATHE=build/release/lathe)
#        needs Debian's gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm
set -euo pipefail
here=$(dirname "$0")
guest=$here/../../../lib/emulation/guest
model=${1:?a model}
lathe=${LATHE:-build/release/lathe}
for tool in arm-none-eabi-gcc qemu-system-arm; do
  if ! command -v "$tool" > /dev/null; then
    echo "$tool is not there: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi" \
      "qemu-system-arm" >&2
    exit 6
  fi
done
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"$lathe" compile "$model" --target c99 --profile cortex-m4 -o "$made/net.c" --quiet
regions=(vectors_origin=0 vectors_length=64 flash_origin=64 flash_length=0x3fffc0
  ram_origin=0x20000000 ram_length=0x400000)
arm-none-eabi-gcc -std=c99 -O2 -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard -mthumb --specs=nosys.specs \
  -ffunction-sections -Wl,--gc-sections -nostartfiles -T "$guest/board.ld" \
  "${regions[@]/#/-Wl,--defsym=}" -I"$made" -I"$guest" \
  "$guest/startup_cortex_m.c" "$here/main.c" "$made/net.c" -o "$made/net.elf" -lm
arm-none-eabi-size "$made/net.elf"
qemu-system-arm -M mps2-an386 -nographic -semihosting-config enable=on,target=native \
  -kernel "$made/net.elf"
