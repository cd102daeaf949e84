#!/usr/bin/env bash
# Installs a package of lathe in a bare system and runs the quickstart's commands with it:
#   scripts/use_package.sh lathe.deb FOLDER    of data that scripts/quickstart.sh drew
set -euo pipefail
package=$1 data=$2
before=$(du -sxm / 2>/dev/null | cut -f1)
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
apt-get clean
dpkg-query -W lathe
echo "installed with all that it needs: $(($(du -sxm / 2>/dev/null | cut -f1) - before)) MiB"
model=$PWD/scripts/glyphs.onnx
cd "$(mktemp -d)"
lathe quantize "$model" -o glyphs.int8.onnx --data "$data/calibration.json" \
  --eval "$data/evaluation.json" --max-drop 1%
lathe inspect glyphs.int8.onnx
lathe bench glyphs.int8.onnx --against "$model" --data "$data/evaluation.json" \
  --gate 'size <= 45%' --gate 'accuracy_drop <= 1%' --threads 1 --max-time 5s
