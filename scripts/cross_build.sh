#!/usr/bin/env bash
# Builds all of lathe for arm64 on this machine, with Debian's libraries for that architecture in a
# folder, packages it (build/arm64_lathe/lathe_…_arm64.deb), and runs what is in the package in an
# emulator. usage: scripts/cross_build.sh
set -euo pipefail
cd "$(dirname "$0")/.."
sysroot=$PWD/build/arm64_sysroot
build=$PWD/build/arm64_lathe
compiler=$(aarch64-linux-gnu-g++ -dumpversion)
mapfile -t libraries < <(scripts/install_packages.sh --list | grep -E '^lib|-dev$' | grep -v '^dpkg')
scripts/cross_packages.sh arm64 "$sysroot" "${libraries[@]}" libc6-dev \
  "libstdc++-${compiler%%.*}-dev"
cmake --preset arm64
cmake --build --preset arm64

# dpkg-shlibdeps knows packages that are installed; those of this architecture have the same names.
names=$(aarch64-linux-gnu-objdump -p "$build"/lathe "$build"/liblathe*.so |
  awk '/NEEDED/ && $2 !~ /lathe|^ld-/ { print $2 }' | sort -u)
packages=$(for name in $names; do dpkg -S "*/$name" | grep -v cross | head -n 1 | cut -d: -f1; done |
  sort -u | paste -sd, | sed 's/,/, /g')
(cd "$build" && cpack -G DEB -D CPACK_DEBIAN_PACKAGE_ARCHITECTURE=arm64 \
  -D CPACK_DEBIAN_PACKAGE_SHLIBDEPS=OFF -D "CPACK_DEBIAN_PACKAGE_DEPENDS=$packages")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dpkg -x "$build"/lathe_*_arm64.deb "$work"
multiarch=$sysroot/usr/lib/aarch64-linux-gnu
lathe=(qemu-aarch64 -L "$sysroot" -E "LD_LIBRARY_PATH=$multiarch/openblas-pthread:$multiarch"
  "$work/usr/bin/lathe")
# The whole way: LibTorch, calibration, the plan and its kernels.
"${lathe[@]}" quantize scripts/glyphs.onnx --data random --samples 8 --effort fast -o "$work/int8.onnx"
"${lathe[@]}" compile "$work/int8.onnx" --target native -o "$work/int8.lathe"
"${lathe[@]}" compare scripts/glyphs.onnx "$work/int8.onnx" --data random --samples 4 --min-sqnr 20
