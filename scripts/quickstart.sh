#!/usr/bin/env bash
# Builds lathe on a bare Debian 12 or 13 and shows it at work: a small network that reads digits and
# letters becomes an int8 network, and is measured beside the float one.
# Everything that it makes is in build/; run it as often as you like.
set -euo pipefail
cd "$(dirname "$0")/.."

# Prints a command as one would type it, then runs it.
show() {
  local word line=''
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./=%:-]+$ ]] || word="'$word'"
    line+=" $word"
  done
  printf '\n$%s\n' "$line"
  "$@"
}

export CCACHE_SLOPPINESS=pch_defines,time_macros
show scripts/install_packages.sh
show cmake --preset release -DBUILD_TESTING=OFF
show cmake --build --preset release --target lathe_exe lathe_heavy lathe_rt lathe_runner lathe-glyphs

lathe=build/release/lathe
made=build/quickstart
mkdir -p "$made"

# Data: pictures that the network has not seen, 500 to calibrate with and 2000 to judge by.
show build/release/lathe-glyphs --seed 11 --count 500 -o "$made/calibration.npz" --force
show build/release/lathe-glyphs --seed 12 --count 2000 -o "$made/evaluation.npz" --force

show "$lathe" quantize scripts/glyphs.onnx -o "$made/glyphs.int8.onnx" \
  --data "$made/calibration.json" --eval "$made/evaluation.json" --max-drop 1% \
  --report "$made/quantize.json" --force
show "$lathe" inspect "$made/glyphs.int8.onnx"
# One thread: so small a network gains nothing from more, and a busy machine disturbs it less.
show "$lathe" bench "$made/glyphs.int8.onnx" --against scripts/glyphs.onnx \
  --data "$made/evaluation.json" --gate 'size <= 45%' --gate 'accuracy_drop <= 1%' \
  --threads 1 --max-time 5s --report "$made/bench.json" --force

echo
echo "The int8 model is $made/glyphs.int8.onnx; reports are beside it."
echo "Next: $lathe quantize --help, and README.md for your own model."
