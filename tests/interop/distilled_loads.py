"""Students that lathe distill makes load in ONNX Runtime and compute what lathe computes.

usage: distilled_loads.py LATHE SOURCE_DIR
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx

import zoo
from quantized_loads_everywhere import signature

# Flags, and the largest difference in the share of the largest output: one step of an integer may
# fall on another side in the other engine.
WAYS = {
    "half width, fresh": (["--student-width", "50%", "--student-init", "fresh"], 1e-4),
    "half width, inherited": (["--student-width", "50%"], 1e-4),
    "separable": (["--student-separable"], 1e-4),
    "separable, half width, fresh": (["--student-separable", "--student-width", "50%",
                                      "--student-init", "fresh"], 1e-4),
    "int8": (["--quantization-aware"], 0.1),
    "int8, one scale a tensor": (["--quantization-aware", "--weight-granularity", "tensor",
                                  "--step-sizes", "follow"], 0.1),
    "int8 weights": (["--quantization-aware", "--mode", "weight-only"], 1e-4),
    "int4 weights": (["--quantization-aware", "--mode", "weight-only", "--weight-bits", "4"], 1e-4),
}


def main():
    binary, root = sys.argv[1:3]
    teacher = os.path.join(root, "scripts", "glyphs.onnx")
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "tune.npz")
        subprocess.run([binary + "-glyphs", "--count", "96", "--seed", "1", "-o", data], check=True)
        spec = data[:-4] + ".json"
        for name, (flags, tolerance) in WAYS.items():
            output = os.path.join(folder, "student.onnx")
            zoo.lathe(binary, "distill", "--teacher", teacher, *flags, "--data", spec, "-o", output,
                      "--epochs", "1", "--batch", "16", "--latency", "off", "--force")
            onnx.checker.check_model(output, full_check=True)
            if signature(teacher) != signature(output):
                wrong.append(f"{name}: inputs or outputs changed")
            found = os.path.join(folder, "found.npz")
            zoo.lathe(binary, "run", output, "--data", spec, "--samples", "16", "-o", found,
                      "--force")
            session = zoo.session(output)
            worst = difference(session, spec, found)
            print(f"  {name}: {os.path.getsize(output)} bytes, {worst:.2g}", flush=True)
            if not worst <= tolerance:
                wrong.append(f"{name}: ONNX Runtime and lathe differ by {worst:.2g}")
    print("\n".join(wrong) if wrong else "every student loads and agrees")
    sys.exit(1 if wrong else 0)


def difference(session, spec, found):
    """Largest difference over the samples that `found` holds, of the largest output."""
    with open(spec) as file:
        fields = json.load(file)
    images = np.load(os.path.join(os.path.dirname(spec), fields["path"]))
    rule = fields["inputs"]["*"]
    pictures = images[rule["array"]].astype(np.float32)
    given = session.get_inputs()[0]
    with np.load(found) as computed:
        outputs = {name: computed[name] for name in computed.files}
    worst = 0.0
    for i in range(16):
        picture = (pictures[i] * rule.get("scale", 1) - np.array(rule.get("mean", 0), np.float32)
                   ) / np.array(rule.get("std", 1), np.float32)
        shape = [size if isinstance(size, int) else 1 for size in given.shape]
        feed = {given.name: picture.reshape(shape).astype(np.float32)}
        for name, value in zoo.run_session(session, feed).items():
            got = outputs[name][i].reshape(value.shape)
            scale = max(float(np.abs(value).max()), 1e-6)
            worst = max(worst, float(np.abs(got - value).max()) / scale)
    return worst


if __name__ == "__main__":
    main()
