"""What `lathe compile --target torchscript` writes loads in Python's torch and computes the same.

usage: torchscript_loads_in_python.py LATHE SOURCE_DIR [MODEL]...

Debian's torch belongs to /usr/bin/python3, which needs no numpy here: arrays travel as raw bytes.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

import zoo

PYTHON = "/usr/bin/python3"
# Python's torch and lathe use one LibTorch; XNNPACK in mobile files adds in another order.
TOLERANCE = 1e-4
# lathe run computes Q/DQ in float, the artifact in integers: each rounds on its own.
MIN_SQNR_DB = 20.0
MODELS = {"mobilenet_v2_imagenet": 4, "cifar10_resnet_4b": 16, "vit_pgd_2_3_16": 0}

# Reads {"artifact", "mobile", "engine", "feeds": [[[path, name, shape]]]} and writes each output's
# float32 bytes beside the artifact.
CHILD = r"""
import ctypes, json, sys, torch
job = json.load(sys.stdin)
torch.set_num_threads(1)
# Where LibTorch has LLVM (Debian 13) it would make kernels of its own for minutes.
torch._C._jit_set_texpr_fuser_enabled(False)
if job["engine"]:
    torch.backends.quantized.engine = job["engine"]
if job["mobile"]:
    from torch.jit.mobile import _load_for_lite_interpreter
    module = _load_for_lite_interpreter(job["artifact"])
else:
    module = torch.jit.load(job["artifact"])
written = []
for number, feed in enumerate(job["feeds"]):
    arrays = {}
    for path, name, shape in feed:
        with open(path, "rb") as file:
            flat = torch.frombuffer(bytearray(file.read()), dtype=torch.float32)
        arrays[name] = flat.reshape(shape)
    with torch.no_grad():
        results = module(*arrays.values()) if job["mobile"] else module(**arrays)
    if isinstance(results, torch.Tensor):
        results = (results,)
    rows = []
    for i, result in enumerate(results):
        result = result.contiguous()
        path = "%s.out%d.%d" % (job["artifact"], number, i)
        with open(path, "wb") as file:
            file.write(ctypes.string_at(result.data_ptr(), result.numel() * result.element_size()))
        rows.append([path, list(result.shape), str(result.dtype)])
    written.append(rows)
code = "" if job["mobile"] else module.code
print(json.dumps({"outputs": written, "integer": code.count("ops.quantized.conv2d")}))
"""


def run_in_python(artifact, mobile, engine, samples):
    """The outputs for each sample, and how many integer convolutions there are. Arguments are given
    by name: the model's, with `_` for what no Python name may hold."""
    feeds = []
    for number, sample in enumerate(samples):
        feed = []
        for i, (name, array) in enumerate(sample.items()):
            path = f"{artifact}.in{number}.{i}"
            np.ascontiguousarray(array, np.float32).tofile(path)
            feed.append([path, re.sub(r"\W", "_", name, flags=re.ASCII), list(array.shape)])
        feeds.append(feed)
    job = {"artifact": artifact, "mobile": mobile, "engine": engine, "feeds": feeds}
    done = subprocess.run([PYTHON, "-c", CHILD], input=json.dumps(job), capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise AssertionError(f"Python's torch refuses {artifact}:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout)
    for _, _, dtype in (row for rows in told["outputs"] for row in rows):
        if dtype != "torch.float32":
            raise AssertionError(f"an output is {dtype}")
    return [[np.fromfile(path, np.float32).reshape(shape) for path, shape, _ in rows]
            for rows in told["outputs"]], told["integer"]


def run_in_lathe(binary, path, sample, folder):
    feed, result = os.path.join(folder, "feed.npz"), os.path.join(folder, "out.npz")
    zoo.save_feeds(feed, [sample])
    zoo.lathe(binary, "run", path, "--data", feed, "-o", result, "--force", "--quiet")
    with np.load(result) as got:
        return [got[name] for name in got.files]


def compiled(binary, path, target, folder):
    """The artifact's path and its manifest; compiled twice, with the same bytes."""
    suffix = {"torchscript": ".pt", "torchscript-mobile": ".ptl"}[target]
    first, again = (os.path.join(folder, name + suffix) for name in ("first", "again"))
    for output in (first, again):
        zoo.lathe(binary, "compile", path, "-o", output, "--target", target, "--force", "--quiet")
    with open(first, "rb") as one, open(again, "rb") as other:
        if one.read() != other.read():
            raise AssertionError(f"{target}: two runs give different bytes")
    with open(first + ".manifest.json") as file:
        return first, json.load(file)


def compare(name, expected, got, integer):
    if len(expected) != len(got):
        raise AssertionError(f"{name}: {len(got)} outputs, not {len(expected)}")
    worst = max(zoo.relative_error(a, b) for a, b in zip(expected, got))
    if integer:
        sqnr = zoo.sqnr_db(expected, got)
        print(f"  {name}: {sqnr:.1f} dB, largest {worst:.2e}", flush=True)
        if not sqnr >= MIN_SQNR_DB:
            raise AssertionError(f"{name}: {sqnr:.1f} dB is below {MIN_SQNR_DB}")
        return
    print(f"  {name}: {worst:.2e}", flush=True)
    if not worst <= TOLERANCE:
        raise AssertionError(f"{name}: {worst:.3e} is above {TOLERANCE}")


def check_artifact(binary, label, path, target, samples, expected, folder):
    artifact, manifest = compiled(binary, path, target, folder)
    mobile = target == "torchscript-mobile"
    integer = label.endswith("int8")
    engine = manifest["expected_environment"].get("quantized_engine") if integer else None
    feeds = list(samples)
    if not manifest["batch_fixed"]:
        feeds.append({key: np.concatenate([sample[key] for sample in samples])
                      for key in samples[0]})
    rows, convolutions = run_in_python(artifact, mobile, engine, feeds)
    if integer and not mobile and convolutions == 0:
        raise AssertionError(f"{label}: no quantized convolution in the code")
    for wanted, got in zip(expected, rows):
        compare(f"{label} {target}", wanted, got, integer)
    for batch in rows[len(samples):]:
        wanted = [np.concatenate([row[i] for row in rows[:len(samples)]])
                  for i in range(len(batch))]
        compare(f"{label} {target} at batch {len(samples)}", wanted, batch, integer)


def check_model(binary, name, models, data, folder):
    path = os.path.join(models, name + ".onnx")
    samples = zoo.feeds(name, models, data, 2)
    forms = [(name, path)]
    if MODELS.get(name, 0) > 0:
        calibration, int8 = (os.path.join(folder, item) for item in ("cal.npz", "int8.onnx"))
        zoo.save_feeds(calibration, zoo.feeds(name, models, data, MODELS[name], 2))
        zoo.lathe(binary, "quantize", path, "-o", int8, "--data", calibration, "--force", "--quiet")
        forms.append((name + " int8", int8))
    for label, form in forms:
        expected = [run_in_lathe(binary, form, sample, folder) for sample in samples]
        for target in ("torchscript", "torchscript-mobile"):
            check_artifact(binary, label, form, target, samples, expected, folder)


def has_torch():
    done = subprocess.run([PYTHON, "-c", "import torch"], capture_output=True)
    return done.returncode == 0


def main():
    binary, root = sys.argv[1:3]
    models, data = zoo.shared_or_skip(root)
    if not has_torch():
        print(f"skipped: {PYTHON} has no torch (apt install python3-torch)")
        sys.exit(0)
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[3:] or MODELS:
            try:
                check_model(binary, name, models, data, folder)
            except AssertionError as error:
                failed.append(name)
                print(f"FAILED {name}: {error}", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else "Python's torch agrees with lathe")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
