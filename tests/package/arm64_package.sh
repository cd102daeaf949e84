#!/usr/bin/env bash
# The arm64 package, in a folder with what it depends on and nothing of this system's, runs the C
# example in an emulator. usage: arm64_package.sh CPACK LATHE SOURCE_FOLDER
set -euo pipefail
cpack=$1
lathe=$2
source=$3
build=$source/build/aarch64
if [ ! -e "$build/CPackConfig.cmake" ] || ! command -v qemu-aarch64 >/dev/null; then
  echo "skipped: build/aarch64 (cmake --preset aarch64) or qemu-aarch64 is not there"
  exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$cpack" --config "$build/CPackConfig.cmake" -B "$folder" >/dev/null
package=$(echo "$folder"/liblathe-rt_*_arm64.deb)
[ "$(dpkg-deb -f "$package" Architecture)" = arm64 ]
IFS=', ' read -ra depends <<<"$(dpkg-deb -f "$package" Depends)"
"$source"/scripts/cross_packages.sh arm64 "$folder/root" "${depends[@]}"
dpkg-deb -x "$package" "$folder/root"
aarch64-linux-gnu-gcc -std=c99 -Wall -Wextra -Werror -I"$folder/root/usr/include" \
  "$source/scripts/examples/classify.c" -o "$folder/classify" -L"$folder/root/usr/lib" -llathe_rt
"$lathe" compile "$source/scripts/glyphs.onnx" -o "$folder/glyphs.lathe" --target native --quiet
run=(qemu-aarch64 -cpu cortex-a72 -L "$folder/root" -E LD_LIBRARY_PATH="$folder/root/usr/lib")
"${run[@]}" "$folder/classify" "$folder/glyphs.lathe"
"${run[@]}" "$folder/root/usr/bin/lathe-runner" "$folder/glyphs.lathe" 1 2
# No name with a version, and pages that phones have.
aarch64-linux-gnu-readelf -d "$folder/root/usr/lib/liblathe_rt.so" | grep -q 'SONAME.*\[liblathe_rt.so\]'
aarch64-linux-gnu-readelf -lW "$folder/root/usr/lib/liblathe_rt.so" |
  awk '$1 == "LOAD" && $NF != "0x4000" && $NF != "0x10000" { exit 1 }'
