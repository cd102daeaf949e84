#!/usr/bin/env bash
# Where a build's time went, from ninja's log: job-seconds of each target, then the slowest steps.
#   scripts/build_times.sh [build folder] [steps to show]
# A cold build (`rm -rf build/release`, CCACHE_DISABLE=1) shows what a newcomer waits for.
set -euo pipefail
cd "$(dirname "$0")/.."
log=${1:-build/release}/.ninja_log
shown=${2:-15}

# Columns of the log: start and end in milliseconds, time stamp, output, hash of the command. A step
# that ran more than once counts as it ran last.
steps=$(awk -F'\t' '!/^#/ { took[$4] = ($2 - $1) / 1000 }
                    END { for (output in took) printf "%.1f\t%s\n", took[output], output }' "$log")

echo "job-seconds  steps  target"
awk -F'\t' '{ target = $2
              if (match(target, /CMakeFiles\/[^\/]*\.dir/))
                target = substr(target, RSTART + 11, RLENGTH - 15)
              else
                target = "links and others"
              took[target] += $1; count[target]++; all += $1 }
            END { for (target in took) printf "%11.1f  %5d  %s\n", took[target], count[target], target
                  printf "%11.1f  %5d  all\n", all, NR }' <<< "$steps" | sort -rn
echo
echo "    seconds  the slowest steps"
sort -rn <<< "$steps" | sed -n "1,${shown}p" | awk -F'\t' '{ printf "%11.1f  %s\n", $1, $2 }'
