"""The engines: what each executes, and the processes in which they answer (see serve.py)."""

import dataclasses
import json
import os
import select
import subprocess
import sys
import tempfile

import files
import inputs

HERE = os.path.dirname(os.path.abspath(__file__))
START_SECONDS = 600


@dataclasses.dataclass
class Engine:
    name: str
    runtime: str
    # Engines are compared with lathe's of the same kind; "reduced": floats are multiplied as
    # bfloat16 where the processor does that. These are in no verdict.
    precision: str
    file: str  # kind of file, see files.Model.file
    settings: tuple = ()
    # Files of one mode are compared in each other runtime: lathe's with those of its own quantizer.
    mode: str = ""

    def suits(self, model):
        """ONNX Runtime advises its dynamic quantization for transformers and recurrent networks."""
        return self.mode != "dynamic" or "Conv" not in model.ops


def other_ways(runtime, short, mode, precision, theirs):
    """lathe's file of a mode in another runtime, and that of its own quantizer."""
    return [Engine(f"{short}-lathe-{mode}", runtime, precision, f"lathe-{mode}", mode=mode),
            Engine(theirs if theirs.startswith(short) else f"{short}-{theirs}", runtime, precision,
                   theirs, mode=mode)]


ENGINES = [Engine("lathe", "lathe", "int8", "lathe"),
           Engine("ort-qdq", "onnxruntime", "int8", "ort-qdq", mode="static"),
           Engine("ort-qoperator", "onnxruntime", "int8", "ort-qoperator", mode="qoperator"),
           Engine("ort-dynamic", "onnxruntime", "int8", "ort-dynamic", mode="dynamic"),
           Engine("ort-lathe", "onnxruntime", "int8", "lathe", mode="static"),
           Engine("openvino-nncf", "openvino", "int8", "nncf", mode="static"),
           Engine("openvino-ort", "openvino", "int8", "ort-qdq", mode="static"),
           Engine("openvino-lathe", "openvino", "int8", "lathe-openvino", mode="static"),
           Engine("lathe-float", "lathe", "float", "float"),
           Engine("ort-float", "onnxruntime", "float", "float"),
           Engine("openvino-float", "openvino", "float", "float", ("f32",)),
           Engine("libtorch-float", "libtorch", "float", "torchscript"),
           Engine("lathe-bfloat16", "lathe", "reduced", "float", ("--profile", "x86-64-amx")),
           Engine("openvino-default", "openvino", "reduced", "float")]
# Only with --files: whether lathe's files are as fast elsewhere as the others' own.
FILES = [engine for engine in ENGINES if engine.mode] + [
    Engine("ort-lathe-qoperator", "onnxruntime", "int8", "lathe-qoperator", mode="qoperator"),
    Engine("ort-lathe-dynamic", "onnxruntime", "int8", "lathe-dynamic", mode="dynamic"),
    *other_ways("openvino", "openvino", "dynamic", "int8", "ort-dynamic"),
    *other_ways("onnxruntime", "ort", "weights", "weights", "ort-weights"),
    *other_ways("openvino", "openvino", "weights", "weights", "nncf-weights"),
    *other_ways("onnxruntime", "ort", "weights4", "weights", "ort-weights4"),
    *other_ways("onnxruntime", "ort", "float16", "float16", "ort-float16"),
    *other_ways("openvino", "openvino", "float16", "float16", "ort-float16")]
RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "libtorch": "LibTorch"}


class Failed(files.Failed):
    """In few words why an engine gives no figures."""


def command_of(engine, model, path, threads, batch):
    script = os.path.join(HERE, f"serve_{engine.runtime}.py")
    # Debian's python3-torch is a package of Debian's Python.
    python = "/usr/bin/python3" if engine.runtime == "libtorch" else sys.executable
    settings = engine.settings
    if engine.runtime == "onnxruntime":
        sizes = inputs.free_dimensions(model.inputs, batch)
        settings = tuple(f"{name}={size}" for name, size in sizes.items())
    return [python, "-B", script, path, model.arrays(batch), str(threads), *settings]


class Served:
    """An engine's process from load to end."""

    def __init__(self, engine, model, threads, batch):
        path, self.about = model.file(engine.file)
        self.said = tempfile.TemporaryFile()
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(command_of(engine, model, path, threads, batch),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.said, env=environment)
        try:
            ready = self.answer(START_SECONDS)
            if "failure" in ready:
                raise Failed(ready["failure"])
        except (Failed, ValueError):
            self.stop()
            raise
        self.about = "; ".join(text for text in (ready["about"], self.about) if text)
        self.figures = {"load_ns": ready["load_ns"], "first_ns": ready["first_ns"],
                        "bytes_before": ready["bytes_before"],
                        "file_bytes": os.path.getsize(path),
                        "float_bytes": os.path.getsize(model.path)}
        self.count = self.warm = 1

    def answer(self, seconds):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise Failed(f"no answer in {seconds:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"ended: {self.last_words()}")
        return json.loads(line)

    def last_words(self):
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").split("\n")
        code = self.process.wait()
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"signal {-code}" if code < 0 else f"code {code} {words}"[:200]

    def ask(self, seconds, *words):
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self.process.stdin.flush()
        return self.answer(seconds)

    def settle(self, seconds):
        """Chooses how many executions fill `seconds`."""
        least = min(self.ask(START_SECONDS, "run", 2, 3)["ns"]) / 1e9
        self.count = max(3, min(100_000, round(seconds / least)))
        self.warm = max(2, self.count // 8)

    def round(self, seconds):
        """Nanoseconds of each execution in about `seconds`."""
        return self.ask(60 + 60 * seconds, "run", self.warm, self.count)["ns"]

    def end(self):
        """The figures of the whole life."""
        self.figures["peak_bytes"] = self.ask(60, "end")["peak_bytes"]
        self.stop()
        return self.figures

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.said.close()
