"""What loading costs: lathe's plans in lathe-runner (a process that links the run time alone) beside
ONNX Runtime's sessions of the same networks, float and lathe's int8 file, in turns.

Load: until the first execution can start; first: until it has ended. Memory: the most that was
resident until then, in MiB; of ONNX Runtime less what Python and its libraries took before.
Compile: seconds and the most memory of `lathe compile --target native`.
"""

import json
import os
import statistics
import subprocess

import child
import engines
import files

COLUMNS = "{:34} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8}"
KINDS = {"float": "float", "int8": "lathe"}


def runner(lathe):
    return os.path.join(os.path.dirname(os.path.realpath(lathe.path)), "lathe-runner")


def compiled(model, kind, place):
    """(path of the plan, what making it took)."""
    source, _ = model.file(kind)
    out = os.path.join(place, f"{model.name}.{kind}.lathe")
    figures = child.run([model.lathe.path, "compile", source, "--target", "native", "--verify", "off",
                         "--quiet", "--force", "-o", out], files.LIMITS)
    if figures["failure"]:
        raise files.Failed(figures["failure"])
    return out, figures


def lathe_load(model, plan, threads):
    done = subprocess.run([runner(model.lathe), plan, str(threads), "2"], capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise files.Failed(f"lathe-runner: {done.stderr.strip()[:160]}")
    told = json.loads(done.stdout)
    return {"load_ns": told["load_ns"], "first_ns": told["first_inference_ns"],
            "bytes": told["peak_bytes"]}


def onnxruntime_load(model, kind, threads):
    engine = engines.Engine("ort", "onnxruntime", "", kind)
    served = engines.Served(engine, model, threads, model.own_batch or 1)
    figures = served.end()
    return {"load_ns": figures["load_ns"], "first_ns": figures["first_ns"],
            "bytes": figures["peak_bytes"] - figures["bytes_before"]}


def middle(rows, key):
    return statistics.median(row[key] for row in rows)


def measure(model, shown, threads, rounds, place):
    """One row of figures."""
    kind = KINDS[shown]
    plan, made = compiled(model, kind, place)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(lathe_load(model, plan, threads))
        theirs.append(onnxruntime_load(model, kind, threads))
    os.remove(plan)
    row = {"model": model.name, "kind": shown, "threads": threads,
           "compile_seconds": made["seconds"], "compile_bytes": made["peak_bytes"]}
    for name, rows in (("lathe", ours), ("onnxruntime", theirs)):
        row[name] = {key: middle(rows, key) for key in rows[0]}
    return row


def text(row):
    ours, theirs = row["lathe"], row["onnxruntime"]
    milliseconds = [f"{part[key] / 1e6:.1f}" for key in ("load_ns", "first_ns")
                    for part in (ours, theirs)]
    mebibytes = [f"{value / 2**20:.0f}" for value in (ours["bytes"], theirs["bytes"],
                                                      row["compile_bytes"])]
    return COLUMNS.format(f"{row['model']} {row['kind']}", *milliseconds, *mebibytes,
                          f"{row['compile_seconds']:.1f}")


def compare(models, threads, rounds, place):
    """Prints a row for each network and kind; (rows, problems)."""
    rows, problems = [], []
    print(COLUMNS.format("ms, MiB, s", "load", "ORT", "first", "ORT", "memory", "ORT", "compile",
                         "took"))
    for model in models:
        for shown in KINDS:
            try:
                row = measure(model, shown, threads, rounds, place)
            except (files.Failed, OSError, ValueError, KeyError) as error:
                problems.append(f"{model.name} {shown}: {error}")
                continue
            rows.append(row)
            print(text(row), flush=True)
    above = {key: [row["model"] + " " + row["kind"] for row in rows
                   if row["lathe"][key] > row["onnxruntime"][key]] for key in ("load_ns", "bytes")}
    for key, what in (("load_ns", "time"), ("bytes", "memory")):
        print(f"more {what} to load than ONNX Runtime: {', '.join(above[key]) or 'none'}")
    return rows, problems
