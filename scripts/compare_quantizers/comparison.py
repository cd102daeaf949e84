"""One model under all tools: quantize, or take what an earlier run made; judge; measure latency."""

import glob
import hashlib
import json
import os
import shutil
import sys

import nncf
import numpy as np
import onnxruntime

import child
import execute

SCRIPTS = os.path.dirname(os.path.abspath(__file__))
OTHERS = {"ort-minmax": ("quantize_with_onnxruntime.py", "MinMax"),
          "ort-entropy": ("quantize_with_onnxruntime.py", "Entropy"),
          "ort-percentile": ("quantize_with_onnxruntime.py", "Percentile"),
          "nncf": ("quantize_with_nncf.py", "default"),
          "nncf-transformer": ("quantize_with_nncf.py", "transformer")}


def sha256(*paths):
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def digest(samples):
    """Of names and values; equal samples have equal ones."""
    total = hashlib.sha256()
    for sample in samples:
        for name in sorted(sample):
            total.update(f"{name} {sample[name].dtype} {sample[name].shape}".encode())
            total.update(np.ascontiguousarray(sample[name]))
    return total.hexdigest()


def short(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_json(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def write_json(path, value):
    with open(path + ".tmp", "w") as file:
        json.dump(value, file, indent=1)
    os.replace(path + ".tmp", path)


class Comparison:
    """All tools on one model."""

    def __init__(self, chosen, folder, name, path, subject):
        self.chosen, self.folder, self.name, self.path = chosen, folder, name, path
        self.subject = subject
        self.model_hash = sha256(path, *glob.glob(path + ".data"))
        self.calibration_hash = digest(subject.calibration)
        # What judges: a change of the samples, of ONNX Runtime or of this code judges again.
        self.judge = short(
            digest([subject.initial, *subject.evaluation]) + onnxruntime.__version__ +
            sha256(*(os.path.join(SCRIPTS, f"{part}.py")
                     for part in ("execute", "subjects", "detections"))))
        samples = os.path.join(folder, "samples", name)
        os.makedirs(samples, exist_ok=True)
        self.npz = os.path.join(samples, "calibration.npz")
        self.spec = os.path.join(samples, "calibration.json")
        names = subject.calibration[0]
        np.savez(self.npz, **{key: np.stack([feed[key] for feed in subject.calibration])
                              for key in names})
        write_json(self.spec, {"format": "npz", "path": "calibration.npz",
                               "inputs": {key: {"array": key} for key in names}})

    def tools(self):
        """name -> (version and settings for the key, command with OUT and NOTE to fill in)."""
        wanted = self.chosen.tools.split(",")
        for tool, (script, argument) in OTHERS.items():
            if tool not in wanted or (tool == "nncf-transformer" and not self.subject.transformer):
                continue
            script = os.path.join(SCRIPTS, script)
            version = onnxruntime.__version__ if tool.startswith("ort") else nncf.__version__
            settings = version + sha256(script, os.path.join(SCRIPTS, "converted.py"))
            yield tool, settings, [sys.executable, "-B", script, argument, self.path, self.npz,
                                   "OUT", "NOTE"]
        if "lathe" not in wanted:
            return
        binaries = [self.chosen.lathe, *sorted(glob.glob(os.path.join(
            os.path.dirname(self.chosen.lathe), "liblathe*.so")))]
        flags = self.chosen.lathe_flags.split()
        for effort in self.chosen.efforts.split(","):
            command = [self.chosen.lathe, "quantize", self.path, "--data", self.spec, "-o", "OUT",
                       "--samples", str(len(self.subject.calibration)), "--quiet", "--force",
                       *flags]
            if effort != "default":
                command += ["--effort", effort]
            yield f"lathe {effort}", sha256(*binaries) + " ".join(flags), command

    def row(self, tool, settings, command):
        """Quantizes, or takes the file of an earlier run; then judges it, or takes that."""
        key = short(" ".join((tool, settings, self.model_hash, self.calibration_hash)))
        place = os.path.join(self.folder, "cache", f"{self.name}.{tool.replace(' ', '-')}.{key}")
        out, note, record = (os.path.join(place, part)
                             for part in ("model.onnx", "note.txt", "record.json"))
        row = None if self.chosen.again else read_json(record)
        if row is None:
            shutil.rmtree(place, ignore_errors=True)
            os.makedirs(place)
            print(f"{self.name}: {tool} ...", file=sys.stderr, flush=True)
            limits = child.Limits(self.chosen.time_limit, int(self.chosen.memory_limit * 2**30))
            filled = [{"OUT": out, "NOTE": note}.get(part, part) for part in command]
            row = {"model": self.name, "tool": tool, **child.run(filled, limits), "note": ""}
            if row["failure"] and os.path.exists(out):
                os.remove(out)
            elif os.path.exists(note):
                with open(note) as file:
                    row["note"] = file.read()
            for extra in glob.glob(out + ".*.onnx*"):
                os.remove(extra)
            write_json(record, row)
        row["path"] = out
        if os.path.exists(out) and row.get("judge") != self.judge:
            row.update({"failure": None, **self.judged(out)}, judge=self.judge)
            write_json(record, row)
        return row, record

    def judged(self, path):
        """Quality of a file, the float model's first; `failure` when ONNX Runtime refuses it."""
        try:
            level, failure = execute.level_for(path)
            names, got = execute.outputs(path, self.subject, level)
        except Exception as error:
            return {"failure": "ONNX Runtime: " + " ".join(str(error).split())[:160]}
        quantized, total = execute.compute_nodes(path)
        figures = {"bytes": os.path.getsize(path) + sum(
            os.path.getsize(part) for part in glob.glob(path + "*data")),
            "compute_nodes": total, "quantized_nodes": quantized, "level": level}
        if level:
            figures["level_reason"] = failure
        if self.subject.metric:
            figures["metric"] = self.subject.metric(got)
        if path == self.path:
            self.reference = got
        else:
            reference = self.reference
            per_output = execute.sqnr_db(reference, got)
            figures["sqnr_db_of_outputs"] = dict(zip(names, per_output))
            figures["sqnr_db"] = None if None in per_output else min(per_output)
            if self.subject.carry:
                given = execute.outputs(path, self.subject, level, states=reference)[1]
                figures["sqnr_db_with_float_states"] = dict(
                    zip(names, execute.sqnr_db(reference, given)))
            if self.subject.agreement:
                figures["agreement"] = self.subject.agreement(reference, got)
        return figures

    def rows(self):
        rows = [{"model": self.name, "tool": "float", "path": self.path, "failure": None,
                 "note": "", **self.judged(self.path)}]
        if rows[0]["failure"]:
            return rows
        records = {}
        for tool, settings, command in self.tools():
            row, record = self.row(tool, settings, command)
            rows.append(row)
            records[tool] = record
        self.add_latencies(rows, records)
        for row in rows:
            row.pop("path")
            row.pop("judge", None)
        return rows

    def add_latencies(self, rows, records):
        """Only files without one are measured, each beside the float model."""
        if not self.chosen.latency_seconds:
            return
        new = [row for row in rows[1:] if not row["failure"] and "latency_ratio" not in row]
        files = {row["tool"]: (row["path"], row["level"]) for row in [rows[0], *new]}
        measured = execute.latencies(files, self.subject, self.chosen.latency_seconds)
        rows[0]["latency_ms"] = measured["float"]
        for row in new:
            row["latency_ms"] = measured[row["tool"]]
            row["latency_ratio"] = measured[row["tool"]] / measured["float"]
            write_json(records[row["tool"]], row)
