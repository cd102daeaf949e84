#!/usr/bin/env bash
# Builds all of lathe for arm64 on this machine, with Debian's libraries for that architecture in a
# folder, and runs it in an emulator. usage: scripts/cross_build.sh
set -euo pipefail
cd "$(dirname "$0")/.."
sysroot=$PWD/build/arm64_sysroot
compiler=$(aarch64-linux-gnu-g++ -dumpversion)
mapfile -t libraries < <(scripts/install_packages.sh --list | grep -E '^lib|-dev$' | grep -v '^dpkg')
scripts/cross_packages.sh arm64 "$sysroot" "${libraries[@]}" libc6-dev \
  "libstdc++-${compiler%%.*}-dev"
cmake --preset arm64
cmake --build --preset arm64
multiarch=$sysroot/usr/lib/aarch64-linux-gnu
run=(qemu-aarch64 -L "$sysroot" -E "LD_LIBRARY_PATH=$multiarch/openblas-pthread:$multiarch")
model=$(mktemp -d)
trap 'rm -rf "$model"' EXIT
# The whole way: LibTorch, calibration, the plan and its kernels.
"${run[@]}" build/arm64_lathe/lathe quantize scripts/glyphs.onnx --data random --samples 8 --effort fast \
  -o "$model/int8.onnx"
"${run[@]}" build/arm64_lathe/lathe compile "$model/int8.onnx" --target native -o "$model/int8.lathe"
"${run[@]}" build/arm64_lathe/lathe compare scripts/glyphs.onnx "$model/int8.onnx" --data random \
  --samples 4 --min-sqnr 20
