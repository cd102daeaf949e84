#!/usr/bin/env bash
# Runs the tests of the run time on an emulated processor. usage: emulated.sh CPU [DOCTEST OPTION...]
binary=$(dirname "$0")/../build/aarch64/test_runtime
if [ ! -x "$binary" ] || [ -z "$(command -v qemu-aarch64)" ]; then
  echo "skipped: build/aarch64/test_runtime (cmake --preset aarch64) or qemu-aarch64 is not there"
  exit 77
fi
exec qemu-aarch64 -cpu "$1" "$binary" "${@:2}"
