#!/usr/bin/env bash
# A long run finds an engine that leaks 1 KiB a run and one that slows by 5 %; a quiet one passes.
# usage: test_soak.sh LATHE MODEL [QUIET_RUNS]
set -euo pipefail
lathe=$1 model=$2 quiet=${3:-40} seconds=8
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The clock is read around each run: that is where this one ages.
cat > "$folder"/ageing.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int (*real)(clockid_t, struct timespec*);
static double now(void) {
  struct timespec t;
  real(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
int clock_gettime(clockid_t id, struct timespec* t) {
  static double start, last;
  double at;
  const char* slow = getenv("AGEING_SLOW_AFTER");
  if (real == NULL) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  if (id != CLOCK_MONOTONIC) return real(id, t);
  at = now();
  if (start == 0) start = last = at;
  /* What passed since the last reading was a run of the model (60 us and more), or else the fixed
   * loop (10 us) or bookkeeping, which do not age. */
  if (at - last > 25e-6 && at - last < 1) {
    if (getenv("AGEING_LEAK") != NULL) {
      volatile char* lost = malloc(1008);  /* 1024 with its header */
      if (lost != NULL) memset((void*)lost, 1, 1008);
    }
    if (slow != NULL && at - start > atof(slow)) {
      const double more = 0.06 * (at - last);
      while (now() - at < more) {
      }
    }
  }
  last = now();
  return real(id, t);
}
C
cc -O1 -shared -fPIC "$folder"/ageing.c -o "$folder"/ageing.so -ldl

bench() {
  local wanted=$1
  shift
  local code=0
  env "$@" "$lathe" bench "$model" --threads 1 --duration "$seconds"s --json \
    > "$folder"/report.json 2> "$folder"/log || code=$?
  if [ "$code" != "$wanted" ]; then
    cat "$folder"/log >&2
    echo "exit $code, wanted $wanted: $*" >&2
    exit 1
  fi
}
value() {
  /usr/bin/python3 -c "import json, sys
print(json.load(open(sys.argv[1]))['cases'][0]['soak'][sys.argv[2]])" "$folder"/report.json "$1"
}
within() {
  /usr/bin/python3 -c "import sys; low, x, high = map(float, sys.argv[1:])
sys.exit(f'{x} is not within {low} and {high}' if not low <= x <= high else 0)" "$@"
}

bench 4 LD_PRELOAD="$folder"/ageing.so AGEING_LEAK=1
within 900 "$(value leak_bytes_per_run)" 1300
echo "leak: $(value leak_bytes_per_run) bytes a run"
# Loading takes a second or two of that clock, too.
bench 4 LD_PRELOAD="$folder"/ageing.so AGEING_SLOW_AFTER=$((seconds / 2 + 2))
within 0.03 "$(value slowdown)" 0.12
echo "slowdown: $(value slowdown)"

seconds=5
found=0
for ((i = 0; i < quiet; ++i)); do
  "$lathe" bench "$model" --threads 1 --duration "$seconds"s --json > "$folder"/report.json \
    2> /dev/null || { found=$((found + 1)); value slowdown; value leak_bytes_per_run; }
done
echo "$found of $quiet quiet runs were found"
[ "$found" = 0 ]
