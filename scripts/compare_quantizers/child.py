"""Runs a tool as a process of its own, under limits, and says what it took."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile

# A process starts with its parent's peak memory as its own (Linux keeps ru_maxrss across exec), and
# this one holds the samples. So a bare interpreter of about 10 MB starts and measures it.
LAUNCHER = """
import json, os, resource, signal, sys, threading, time
result, seconds, memory = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
started = time.monotonic()
child = os.posix_spawn(sys.argv[4], sys.argv[4:], os.environ)
late = []
timer = threading.Timer(seconds, lambda: (late.append(1), os.kill(child, signal.SIGKILL)))
timer.start()
_, status, usage = os.wait4(child, 0)
timer.cancel()
with open(result, "w") as file:
    json.dump({"code": os.waitstatus_to_exitcode(status), "late": bool(late),
               "seconds": time.monotonic() - started,
               "cpu_seconds": usage.ru_utime + usage.ru_stime,
               "peak_bytes": usage.ru_maxrss * 1024}, file)
"""


@dataclasses.dataclass
class Limits:
    seconds: float
    bytes: int


def run(command, limits):
    """{seconds, cpu_seconds, peak_bytes, failure}; failure is None, or few words."""
    # NNCF sends statistics of its use to its maker, but not from continuous integration.
    environment = {**os.environ, "CI": "true"}
    with tempfile.TemporaryDirectory() as folder:
        result = os.path.join(folder, "result.json")
        # ONNX Runtime's preprocessing leaves files where it runs.
        done = subprocess.run([sys.executable, "-I", "-S", "-c", LAUNCHER, result,
                               str(limits.seconds), str(limits.bytes), *command],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", env=environment, cwd=folder)
        if done.returncode != 0:
            return {"failure": f"not started: {last_words(done.stdout)}"}
        with open(result) as file:
            figures = json.load(file)
    code, late = figures.pop("code"), figures.pop("late")
    figures["failure"] = None
    if late:
        figures["failure"] = f"stopped after {limits.seconds:.0f} s"
    elif code != 0:
        figures["failure"] = failure(code, done.stdout, limits)
    return figures


def failure(code, output, limits):
    for sign in ("MemoryError", "bad_alloc", "Failed to allocate", "Unable to allocate"):
        if sign in output:
            return f"more memory than {limits.bytes / 2**30:.0f} GiB"
    return f"signal {-code}" if code < 0 else f"code {code}: {last_words(output)}"


def last_words(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error")]
    return " ".join((errors or lines or ["(nothing said)"])[-1].split())[:200]
