#!/usr/bin/env bash
# The C examples, built as an application would and run on a compiled plan; the library that it needs
# is small. usage: run_example.sh BUILD_FOLDER SOURCE_FOLDER
set -euo pipefail
build=$1
source=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$build"/lathe compile "$source"/scripts/glyphs.onnx -o "$folder"/glyphs.lathe --target native --quiet
for example in classify serve; do
  cc -std=c99 -Wall -Wextra -pedantic -Werror -I"$source"/lib/native/api \
    "$source"/scripts/examples/$example.c -o "$folder"/$example -L"$build" -llathe_rt \
    -Wl,-rpath,"$build"
done
"$folder"/classify "$folder"/glyphs.lathe
# The memory that the kernel counts for the example, and what bench says of the model as deployed.
cat > "$folder"/peak.c <<'C'
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char** argv) {
  struct rusage use;
  int status;
  if (argc < 2 || fork() == 0) return execv(argv[1], argv + 1);
  if (wait4(-1, &status, 0, &use) < 0 || status != 0) return 1;
  fprintf(stderr, "%ld\n", use.ru_maxrss);
  return 0;
}
C
cc -O1 "$folder"/peak.c -o "$folder"/peak
for network in glyphs mobilenet_v2 resnet18; do
  model=$folder/$network.onnx
  if [ $network = glyphs ]; then cp "$source"/scripts/glyphs.onnx "$model"
  else "$build"/lathe zoo $network -o "$model" --quiet; fi
  "$build"/lathe compile "$model" -o "$folder"/$network.lathe --target native --verify off --force \
    --quiet
  "$folder"/peak "$folder"/classify "$folder"/$network.lathe > /dev/null 2> "$folder"/kernel
  "$build"/lathe bench "$model" --iterations 3 --threads 2 --json 2> /dev/null > "$folder"/bench.json
  python3 - "$folder"/kernel "$folder"/bench.json $network <<'P'
import json, sys
kernel = 1024 * int(open(sys.argv[1]).read())
said = json.load(open(sys.argv[2]))["cases"][0]["memory"]["hwm_bytes"]
print(f"{sys.argv[3]}: kernel {kernel / 2**20:.2f} MiB, bench {said / 2**20:.2f} MiB")
# Bench hands its plan over in memory, whose pages the kernel maps in smaller groups than a file's.
if not 0.9 < said / kernel < 1.1:
    sys.exit("bench's peak memory is not what an application pays")
P
done
# 64 requests come faster than one worker takes them: some run together.
"$folder"/serve "$folder"/glyphs.lathe 64 1 16 20000 > "$folder"/served
cat "$folder"/served
grep -q '^64 requests, .* 0 failed; 1 workers' "$folder"/served
runs=$(sed 's/.* requests, \([0-9]*\) runs.*/\1/' "$folder"/served)
if [ "$runs" -ge 64 ]; then
  echo "no requests were joined" >&2
  exit 1
fi
for wrong in -1 99999999999; do
  if "$folder"/serve "$folder"/glyphs.lathe $wrong 2> "$folder"/error; then
    echo "$wrong requests were accepted" >&2
    exit 1
  fi
  grep -q usage "$folder"/error
done
# What a profile says under "execution" is in the plan.
"$build"/lathe compile "$source"/scripts/glyphs.onnx -o "$folder"/low_power.lathe --target native \
  --profile x86_64_low_power --quiet
"$folder"/serve "$folder"/low_power.lathe 8 1 | grep '^8 requests, .* 1 workers of 2 threads, batch 32$'
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
