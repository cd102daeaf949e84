"""Plans under the arm64 runner, emulated on several processors: the bytes of x86 where everything is
in integers, floats within 1e-5 of the largest. usage: aarch64_matches.py LATHE ROOT"""

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import zoo

# Neither dot products nor products of matrices; dot products; all that there is.
CPUS = ("cortex-a53", "cortex-a76", "max")
SLOW_CPUS = ("cortex-a53", "cortex-a72", "cortex-a76", "max")
FLOAT_TOLERANCE = 1e-5
# ONNX Runtime and oneDNN are 3.2e-5 apart on x86 there: its seeded weights cancel.
TOLERANCES = {"resnet50": 1e-4, "yolox_nano": 5e-4}


class NotForTheRunTime(Exception):
    """The plan has nodes that only lathe itself can run, or none was made."""


def input_bytes(lathe, model, folder):
    """Of one sample of numbers that seeds give, in the order of the model's inputs."""
    report = json.loads(zoo.lathe(lathe, "inspect", model, "--json").stdout)
    random = np.random.default_rng(7)
    data = b""
    for value in report["inspect"]["inputs"]:
        shape = [size if isinstance(size, int) else 1 for size in value["shape"]]
        if value["dtype"] == "float":
            data += random.standard_normal(shape).astype(np.float32).tobytes()
        elif value["dtype"] in ("uint8", "int8"):
            data += random.integers(0, 128, shape).astype(np.uint8).tobytes()
        else:
            data += np.ones(shape, value["dtype"]).tobytes()
    path = os.path.join(folder, "inputs")
    with open(path, "wb") as file:
        file.write(data)
    return path


def check(lathe, arm, model, name, is_integer, cpus, folder):
    plan = os.path.join(folder, name + ".lathe")
    made = subprocess.run([lathe, "compile", model, "-o", plan, "--target", "native", "--verify", "off",
                           "--quiet", "--force"], capture_output=True, text=True)
    if "native.shape" in made.stderr:
        raise NotForTheRunTime
    assert made.returncode == 0, made.stderr
    inputs = input_bytes(lathe, model, folder)
    outputs = os.path.join(folder, "outputs")

    def result(command, threads):
        words = [*command, plan, threads, "1", "--inputs", inputs, "--outputs", outputs]
        done = subprocess.run(words, capture_output=True, text=True)
        if "only lathe itself can run" in done.stderr:
            raise NotForTheRunTime
        assert done.returncode == 0, f"{' '.join(words)}: code {done.returncode}\n{done.stderr}"
        with open(outputs, "rb") as file:
            return file.read()

    here = result([os.path.join(os.path.dirname(lathe), "lathe-runner")], "1")
    first = None
    for cpu in cpus:
        there = result(["qemu-aarch64", "-cpu", cpu, arm], "1")
        first = first or there
        assert there == first, f"{name}: {cpu} gives other bytes than {cpus[0]}"
    assert result(["qemu-aarch64", "-cpu", cpus[-1], arm], "2") == first, f"{name}: two threads"
    if is_integer:
        assert first == here, f"{name}: other bytes than x86"
        return "the bytes of x86"
    ours, theirs = np.frombuffer(first, np.float32), np.frombuffer(here, np.float32)
    error = zoo.relative_error(theirs, ours)
    assert error < TOLERANCES.get(name, FLOAT_TOLERANCE), f"{name}: {error} of x86's largest output"
    return f"within {error:.1e} of x86"


def main():
    lathe, root = sys.argv[1], sys.argv[2]
    arm = os.path.join(root, "build", "aarch64", "lathe-runner")
    if not os.path.exists(arm) or shutil.which("qemu-aarch64") is None:
        print("skipped: build/aarch64/lathe-runner (cmake --preset aarch64) or qemu-aarch64 is not there")
        sys.exit(77)
    slow = os.environ.get("LATHE_SLOW") == "1"
    cpus = SLOW_CPUS if slow else CPUS
    networks = ["mobilenet_v2"]
    if slow:
        networks += ["resnet50", "mobilenet_v3_large", "efficientnet_b0", "crnn",
                     "lstm_autoencoder"]
    with tempfile.TemporaryDirectory() as folder:
        models = {"glyphs": os.path.join(root, "scripts", "glyphs.onnx")}
        for name in networks:
            models[name] = os.path.join(folder, name + ".onnx")
            zoo.lathe(lathe, "zoo", name, "-o", models[name], "--quiet")
        if slow:
            for path in sorted(glob.glob(os.path.join(root, "..", "shared", "models", "*.onnx"))):
                if "missing_data" not in path:
                    models[os.path.splitext(os.path.basename(path))[0]] = path
        for name, path in models.items():
            integers = os.path.join(folder, name + "_int8.onnx")
            zoo.lathe(lathe, "quantize", path, "-o", integers, "--data", "random", "--samples", "4",
                      "--effort", "fast", "--quiet")
            for model, kind, is_integer in ((path, "", False), (integers, "_int8", True)):
                try:
                    found = check(lathe, arm, model, name + kind, is_integer, cpus, folder)
                except NotForTheRunTime:
                    found = "not for the run time alone"
                print(f"{name}{kind}: {found}", flush=True)


if __name__ == "__main__":
    main()
