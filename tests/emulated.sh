#!/usr/bin/env bash
# Runs the tests of the run time on an emulated processor. usage: emulated.sh CPU [DOCTEST OPTION...]
# LATHE_BUILD names another build of them (aarch64-asan).
build=${LATHE_BUILD:-aarch64}
binary=$(dirname "$0")/../build/$build/test_runtime
if [ ! -x "$binary" ] || [ -z "$(command -v qemu-aarch64)" ]; then
  echo "skipped: build/$build/test_runtime (cmake --preset $build) or qemu-aarch64 is not there"
  exit 77
fi
exec qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu "$1" "$binary" "${@:2}"
