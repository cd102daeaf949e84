#!/usr/bin/env bash
# The C example, built as an application would and run on a compiled plan; the library that it needs
# is small. usage: run_example.sh BUILD_FOLDER SOURCE_FOLDER
set -euo pipefail
build=$1
source=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$build"/lathe compile "$source"/scripts/glyphs.onnx -o "$folder"/glyphs.lathe --target native --quiet
cc -std=c99 -Wall -Wextra -pedantic -Werror -I"$source"/lib/native/api \
  "$source"/scripts/examples/classify.c -o "$folder"/classify -L"$build" -llathe_rt -Wl,-rpath,"$build"
"$folder"/classify "$folder"/glyphs.lathe
if ldd "$build"/liblathe_rt.so | grep -q torch; then
  echo "liblathe_rt.so must not need LibTorch" >&2
  exit 1
fi
# A damaged plan is refused with a word.
head -c 5000 "$folder"/glyphs.lathe > "$folder"/short.lathe
if "$folder"/classify "$folder"/short.lathe 2> "$folder"/error; then
  echo "a truncated plan was run" >&2
  exit 1
fi
grep -q 'plan' "$folder"/error
