#!/usr/bin/env bash
# Counts what one inference costs on Arm, without a board: instructions under an emulator, beside
# ONNX Runtime's and LiteRT's (XNNPACK). usage: scripts/compare_instructions.sh [--cpu CPU] [--functions] [NETWORK ...]
set -euo pipefail
cd "$(dirname "$0")/.."
arm=build/arm64_python
scripts/cross_packages.sh arm64
scripts/cross_packages.sh arm64 "$arm" python3.11-minimal libpython3.11-stdlib libstdc++6
if [ ! -e "$arm/site/ai_edge_litert" ]; then
  rm -rf "$arm/site"
  wheels=$(mktemp -d)
  # Those for the folder's Python.
  build/venv/bin/pip download -q --no-deps --only-binary=:all: --python-version 311 \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux_2_17_aarch64 --dest "$wheels" onnxruntime numpy ai-edge-litert flatbuffers \
    backports.strenum typing-extensions
  for wheel in "$wheels"/*.whl; do python3 -m zipfile -e "$wheel" "$arm/site.part"; done
  mv "$arm/site.part" "$arm/site"
  rm -rf "$wheels"
fi
cmake --preset aarch64 >/dev/null
cmake --build --preset aarch64 >/dev/null
version=1
case "$(qemu-aarch64 --version)" in *"version 1"[0-9].*) version=4 ;; esac
plugin=$PWD/build/aarch64/count.so
gcc -O2 -shared -fPIC -DPLUGIN_VERSION=$version scripts/compare_instructions/count.c -o "$plugin"
build/venv/bin/python -B scripts/compare_instructions/compare.py build/release/lathe \
  build/aarch64/lathe-runner "$plugin" "$arm" "$@"
