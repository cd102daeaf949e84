"""What every engine's process does: load, then answer lines on stdin with one JSON line each.

  run WARM COUNT   {"ns": [COUNT times]} after WARM executions that are not timed
  end              {"peak_bytes": ...} and the process ends

The first line, unasked, is {"load_ns", "first_ns", "bytes_before", "about"}: the time to load and
of the first execution, peak memory before loading (interpreter and libraries), and words. Where
loading fails it is {"failure": words}.
"""

import json
import os
import sys
import time


def peak_bytes():
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return None


def timed(execute, count):
    times = []
    for _ in range(count):
        started = time.perf_counter_ns()
        execute()
        times.append(time.perf_counter_ns() - started)
    return times


def serve(load):
    """`load()` gives (a function that executes once, words about what was loaded)."""
    # What libraries print must not fall between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    before = peak_bytes()
    started = time.perf_counter_ns()
    try:
        execute, about = load()
        loaded = time.perf_counter_ns()
        first = timed(execute, 1)[0]
    except Exception as error:
        answer({"failure": f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]})
        return
    answer({"load_ns": loaded - started, "first_ns": first, "bytes_before": before, "about": about})
    for line in sys.stdin:
        words = line.split()
        if words[0] == "end":
            answer({"peak_bytes": peak_bytes()})
            return
        timed(execute, int(words[1]))
        answer({"ns": timed(execute, int(words[2]))})
