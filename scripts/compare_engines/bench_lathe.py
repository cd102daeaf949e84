"""lathe as one of the engines: a `lathe bench` of its own in each round.

The only file that knows how lathe is asked and how its report reads.
"""

import json
import os
import statistics
import tempfile

import files


def reported(lathe, *arguments, allowed=(0,)):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.json")
        lathe.run("bench", *arguments, "--report", path, "--quiet", allowed=allowed)
        with open(path) as file:
            return json.load(file)


def peaks(lathe, threads):
    """Measured 10^9 operations a second: {"int8": ..., "float32": ...}; two to a multiply-add."""
    # Code 5: this machine is too noisy to tell small changes; its peaks are told all the same.
    report = reported(lathe, "--doctor", "--threads", threads, allowed=(0, 5))
    cores = "one_core_gops" if threads == 1 else "all_cores_gops"
    best = {}  # of the instructions for a type
    for row in report["doctor"]["peaks"]["compute"]:
        best[row["dtype"]] = max(row[cores], best.get(row["dtype"], 0))
    return best


class LatheBench:
    """The same interface as engines.Served; a round gives the median and the least latency."""

    def __init__(self, engine, model, threads, batch, name):
        self.lathe, self.engine_name = model.lathe, name
        self.path, _ = model.file(engine.file)
        self.about = " ".join(["lathe bench --engine", name, *engine.settings])
        self.arguments = ["--engine", name, "--threads", threads, *engine.settings]
        if model.batch_is_free:
            self.arguments += ["--batch", batch]
        elif batch != model.own_batch:
            raise files.Failed(f"its batch is {model.own_batch}")
        self.loads, self.firsts, self.peaks = [], [], []

    def settle(self, seconds):
        self.round(min(seconds, 0.2))

    def round(self, seconds):
        report = reported(self.lathe, self.path, *self.arguments, "--max-time", f"{seconds:g}s")
        (case,) = report["cases"]
        phases, latency = case["phases"], case["latency"]
        if latency["median"] is None or "value" not in latency["median"]:
            raise files.Failed(f"no latency: {latency.get('median_reason', 'not said why')}")
        self.loads.append(phases["load_ns"] + phases["compile_ns"])
        self.firsts.append(phases["first_inference_ns"])
        self.peaks.append(case["memory"].get("hwm_bytes"))
        return {"median": latency["median"]["value"], "min": latency["min"]}

    def end(self):
        return {"load_ns": statistics.median(self.loads),
                "first_ns": statistics.median(self.firsts), "bytes_before": None,
                "peak_bytes": max((peak for peak in self.peaks if peak), default=None)}

    def stop(self):
        pass
