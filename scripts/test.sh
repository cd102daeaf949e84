#!/usr/bin/env bash
# Builds lathe and runs its tests, on a bare Debian 12 or 13 too. `--slow` adds the slow ones.
# Other arguments go to ctest (`scripts/test.sh -R conformance`).
set -euo pipefail
cd "$(dirname "$0")/.."

filter=(-LE slow)
packages=--tests
if [ "${1:-}" = --slow ]; then
  filter=()
  packages=--slow
  shift
fi

scripts/install_packages.sh "$packages"
# Artifacts are tested in the engines that people use; these come from PyPI.
if ! build/venv/bin/python -c 'import onnxruntime, onnx, PIL, ai_edge_litert, tflite_micro, ethosu' \
    2>/dev/null; then
  /usr/bin/python3 -m venv build/venv
  build/venv/bin/pip install -q onnxruntime onnx==1.20.1 numpy pillow ai-edge-litert tflite-micro \
    ethos-u-vela
fi

export CCACHE_SLOPPINESS=pch_defines,time_macros
cmake --preset release -DBUILD_TESTING=ON
cmake --build --preset release
# The run time for arm64, which tests run in an emulator.
scripts/cross_packages.sh arm64
cmake --preset aarch64 -DBUILD_TESTING=ON
cmake --build --preset aarch64
if [ "$packages" = --slow ]; then
  cmake --preset aarch64-asan -DBUILD_TESTING=ON
  cmake --build --preset aarch64-asan
fi
ctest --test-dir build/release --parallel 2 --output-on-failure --no-tests=error "${filter[@]}" "$@"
