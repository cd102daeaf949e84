"""The files that the engines load: made once, kept by tool, version and model."""

import glob
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx

import inputs

HERE = os.path.dirname(os.path.abspath(__file__))
QUANTIZERS = os.path.join(HERE, "..", "compare_quantizers")
sys.path.append(QUANTIZERS)
import child

LIMITS = child.Limits(3600, 20 * 2**30)
SAMPLES = 8
# kind -> (package whose version counts, script, its first argument)
OTHERS = {"ort-qdq": ("onnxruntime", os.path.join(QUANTIZERS, "quantize_with_onnxruntime.py"),
                      "MinMax"),
          "ort-qoperator": ("onnxruntime", os.path.join(HERE, "quantize_more.py"), "qoperator"),
          **{f"ort-{kind}": ("onnxruntime", os.path.join(HERE, "quantize_more.py"), kind)
             for kind in ("dynamic", "weights", "weights4", "float16")},
          "nncf": ("nncf", os.path.join(QUANTIZERS, "quantize_with_nncf.py"), "default"),
          "nncf-weights": ("nncf", os.path.join(QUANTIZERS, "quantize_with_nncf.py"), "weights")}
# What `lathe quantize` is told for each of its modes.
MODES = {"lathe": "--data random --effort fast",
         "lathe-openvino": "--data random --effort fast --profile openvino",
         "lathe-qoperator": "--data random --effort fast --format qoperator",
         "lathe-dynamic": "--mode dynamic", "lathe-weights": "--mode weight-only",
         "lathe-weights4": "--mode weight-only --weight-bits 4", "lathe-float16": "--mode float16"}


def sha256(*paths):
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def last_error(done):
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error")]
    text = (errors or lines or [f"code {done.returncode}"])[-1]
    return re.sub(r"/\S*/", "", text)[:200]


class Failed(Exception):
    """In few words why there is no file."""


class Lathe:
    """The binary; `seal` stands for it and its libraries in the keys of what it made."""

    def __init__(self, path):
        self.path = path
        self.seal = sha256(path, *sorted(glob.glob(os.path.join(os.path.dirname(path),
                                                                "liblathe*.so"))))

    def run(self, *arguments, allowed=(0,)):
        done = subprocess.run([self.path, *map(str, arguments)], capture_output=True, text=True,
                              errors="replace")
        if done.returncode not in allowed:
            raise Failed(f"lathe {arguments[0]}: {last_error(done)}")
        return done.stdout


class Model:
    """One network: its float file, and the others by kind."""

    def __init__(self, name, path, lathe, folder):
        self.name, self.path, self.lathe = name, path, lathe
        self.key = sha256(path, *glob.glob(path + ".data"))[:16]
        self.folder = os.path.join(folder, f"{name}.{self.key}")
        os.makedirs(self.folder, exist_ok=True)
        self.failures = {}  # by kind; None where the file was made
        self.inputs = inputs.inputs_of(path)
        self.batch_is_free = inputs.batch_dimension(self.inputs) is not None
        self.ops = {node.op_type for node in onnx.load(path, load_external_data=False).graph.node}
        facts = json.loads(lathe.run("inspect", path, "--json", "--quiet"))["model"]
        self.own_batch = None if self.batch_is_free else next(
            (item.shape[0] for item in self.inputs if item.shape), 1)
        self.macs = facts["macs"] / (self.own_batch or 1) if facts.get("macs") else None

    def arrays(self, batch):
        """A file of input arrays."""
        path = os.path.join(self.folder, f"inputs.{batch}.npz")
        if not os.path.exists(path):
            np.savez(path, **inputs.random_arrays(self.inputs, batch, 1))
        return path

    def calibration(self):
        path = os.path.join(self.folder, "calibration.npz")
        if not os.path.exists(path):
            samples = [inputs.random_arrays(self.inputs, 1, seed) for seed in range(SAMPLES)]
            np.savez(path, **{name: np.stack([sample[name] for sample in samples])
                              for name in samples[0]})
        return path

    def file(self, kind):
        """(path, remarks) of "float", "torchscript", one of MODES or of OTHERS."""
        if kind == "float":
            return self.path, ""
        commands = {
            "torchscript": ["compile", self.path, "--target", "torchscript", "--verify", "off"],
            **{mode: ["quantize", self.path, *flags.split()] for mode, flags in MODES.items()}}
        if kind in commands:
            return self.made(kind, self.lathe.seal + " ".join(commands[kind][2:]), "OUT.pt" if
                             kind == "torchscript" else "OUT.onnx",
                             [self.lathe.path, *commands[kind], "-o", "OUT", "--quiet", "--force"])
        package, script, argument = OTHERS[kind]
        if kind == "nncf" and "Conv" not in self.ops:
            argument = "transformer"
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            raise Failed(f"{package} is not installed") from None
        command = [sys.executable, "-B", script, argument, self.path, self.calibration(), "OUT",
                   "NOTE"]
        return self.made(kind, version + argument + sha256(script), "OUT.onnx", command)

    def made(self, kind, settings, name, command):
        """(path, remarks): of an earlier run, or made now; a failure is tried again by each run."""
        place = os.path.join(self.folder,
                             f"{kind}.{hashlib.sha256(settings.encode()).hexdigest()[:16]}")
        out, note = os.path.join(place, name.replace("OUT", "model")), os.path.join(place, "note")
        if not os.path.exists(note):
            if kind not in self.failures:
                self.failures[kind] = self.make(kind, place, out, note, command)
            if self.failures[kind]:
                raise Failed(f"{kind}: {self.failures[kind]}")
        with open(note) as file:
            return out, file.read()

    def make(self, kind, place, out, note, command):
        """None, or few words why there is no file. The note tells that the file is whole."""
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place)
        print(f"{self.name}: makes the {kind} file ...", file=sys.stderr, flush=True)
        said = note + ".new"
        filled = [{"OUT": out, "NOTE": said}.get(part, part) for part in command]
        failure = child.run(filled, LIMITS)["failure"]
        for extra in glob.glob(out + ".*.onnx*"):
            os.remove(extra)
        if failure is None:
            open(said, "a").close()
            os.replace(said, note)
        return failure
