"""TorchScript files become ONNX files that compute what LibTorch computes, state included.

usage: torchscript_files_match_torch.py LATHE SOURCE_DIR

Debian's torch belongs to /usr/bin/python3, which needs no numpy here: arrays travel as raw bytes.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import pictures
import zoo

PYTHON = "/usr/bin/python3"
TOLERANCE = 1e-4

# Calls a module once for each step; a step is a list of [path, shape] or of plain numbers.
CHILD = r"""
import ctypes, json, sys, torch
job = json.load(sys.stdin)
torch.set_num_threads(1)
# Where LibTorch has LLVM (Debian 13) it would make kernels of its own for minutes.
torch._C._jit_set_texpr_fuser_enabled(False)
module = torch.jit.load(job["file"]).eval()
told = []
for number, step in enumerate(job["steps"]):
    arguments = []
    for given in step:
        if isinstance(given, list):
            path, shape = given
            with open(path, "rb") as file:
                given = torch.frombuffer(bytearray(file.read()), dtype=torch.float32).reshape(shape)
        arguments.append(given)
    with torch.no_grad():
        results = module(*arguments)
    if isinstance(results, torch.Tensor):
        results = (results,)
    rows = []
    for i, result in enumerate(results):
        result = result.float().contiguous()
        path = "%s/out%d_%d" % (job["folder"], number, i)
        with open(path, "wb") as file:
            file.write(ctypes.string_at(result.data_ptr(), result.numel() * 4))
        rows.append([path, list(result.shape)])
    told.append(rows)
print(json.dumps(told))
"""


def torch_outputs(file, steps, folder):
    job = {"file": file, "folder": folder, "steps": []}
    for number, step in enumerate(steps):
        given = []
        for i, value in enumerate(step):
            if isinstance(value, np.ndarray):
                path = os.path.join(folder, f"in{number}_{i}")
                np.ascontiguousarray(value, np.float32).tofile(path)
                value = [path, list(value.shape)]
            given.append(value)
        job["steps"].append(given)
    done = subprocess.run([PYTHON, "-c", CHILD], input=json.dumps(job), capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise AssertionError(f"torch refuses {file}:\n{done.stderr[-2000:]}")
    return [[np.fromfile(path, np.float32).reshape(shape) for path, shape in rows]
            for rows in json.loads(done.stdout)]


def noted(path, prefix):
    """What the model's metadata say of its inputs under `prefix`."""
    metadata = zoo.session(path).get_modelmeta().custom_metadata_map
    return {key[len(prefix):]: value for key, value in metadata.items() if key.startswith(prefix)}


def carried_names(path):
    """input -> output of the step before"""
    return noted(path, "lathe.carry.")


def first_state(given, told):
    """Zeros, or what the metadata say: "float 2x3 0a0b…"."""
    dtype = {"tensor(float)": np.float32, "tensor(int64)": np.int64,
             "tensor(bool)": np.bool_}[given.type]
    if told is None:
        return np.zeros(given.shape, dtype)
    _, shape, digits = told.split(" ")
    sizes = [int(size) for size in shape.split("x") if size]
    return np.frombuffer(bytes.fromhex(digits), dtype).reshape(sizes)


def onnx_outputs(path, steps, names):
    """Outputs of each step without the state, which is fed back."""
    model = zoo.session(path)
    carry = carried_names(path)
    initial = noted(path, "lathe.initial.")
    state = {given.name: first_state(given, initial.get(given.name))
             for given in model.get_inputs() if given.name in carry}
    results = []
    for step in steps:
        feed = {name: np.asarray(value) for name, value in zip(names, step)}
        outputs = zoo.run_session(model, {**feed, **state})
        state = {name: outputs[output] for name, output in carry.items()}
        results.append([value for name, value in outputs.items() if name not in carry.values()])
    return results


def check(binary, label, file, flags, steps, names, used, folder):
    """`used`: positions of the arguments that are inputs of the ONNX model."""
    path = os.path.join(folder, "out.onnx")
    zoo.lathe(binary, "compile", file, "-o", path, "--force", *flags)
    expected = torch_outputs(file, steps, folder)
    got = onnx_outputs(path, [[step[i] for i in used] for step in steps], names)
    worst = max(zoo.relative_error(a, b)
                for one, other in zip(expected, got) for a, b in zip(one, other, strict=True))
    state = ", ".join(carried_names(path)) or "none"
    print(f"  {label}: {len(steps)} steps, state {state}: {worst:.2e}", flush=True)
    if not worst <= TOLERANCE:
        raise AssertionError(f"{label}: {worst:.3e} is above {TOLERANCE}")
    return got


def check_faces(binary, models, data, folder):
    steps = [[(pictures.planes(image.resize((480, 360))) - 127) / np.float32(128)]
             for image in pictures.faces(data)[:3]]
    check(binary, "hello_mobile_model", os.path.join(models, "hello_mobile_model.pt"),
          ["--input-shape", "x=1x3x360x480"], steps, ["x"], [0], folder)


def check_policy(binary, models, data, folder):
    rng = np.random.default_rng(0)
    steps = [[rng.standard_normal((1, 47)).astype(np.float32)] for _ in range(30)]
    check(binary, "unitree_g1_motion", os.path.join(models, "unitree_g1_motion.pt"),
          ["--input-shape", "x=1x47"], steps, ["x"], [0], folder)


def check_speech(binary, models, data, folder):
    samples = pictures.speech(data)[400 * 512:]
    frames = [samples[i * 512:(i + 1) * 512][None] for i in range(60)]
    steps = [[frame, 16000] for frame in frames]
    file = os.path.join(models, "silero_vad_v5.jit")
    got = check(binary, "silero_vad_v5, rate fixed", file,
                ["--input-shape", "x=1x512", "--input-value", "sr=16000"], steps, ["x"], [0], folder)
    # The same network as its authors export it: it wants 64 samples of context before each frame.
    model = zoo.session(os.path.join(models, "silero_vad_v5.onnx"))
    context, state, worst = np.zeros((1, 64), np.float32), np.zeros((2, 1, 128), np.float32), 0.0
    for frame, mine in zip(frames, got):
        outputs = zoo.run_session(model, {"input": np.concatenate([context, frame], 1),
                                          "state": state, "sr": np.array(16000, np.int64)})
        context, state = frame[:, -64:], outputs["stateN"]
        worst = max(worst, zoo.relative_error(outputs["output"], mine[0]))
    print(f"  silero_vad_v5, against its own ONNX file: {worst:.2e}", flush=True)
    if not worst <= TOLERANCE:
        raise AssertionError(f"silero differs from silero_vad_v5.onnx: {worst:.3e}")
    check(binary, "silero_vad_v5, rate given", file, ["--input-shape", "x=1x512"], steps,
          ["x", "sr"], [0, 1], folder)


def main():
    binary, root = sys.argv[1:3]
    models, data = zoo.shared_or_skip(root)
    if subprocess.run([PYTHON, "-c", "import torch"], capture_output=True).returncode != 0:
        print(f"skipped: {PYTHON} has no torch (apt install python3-torch)")
        sys.exit(0)
    failed = False
    for part in (check_faces, check_policy, check_speech):
        with tempfile.TemporaryDirectory() as folder:
            try:
                part(binary, models, data, folder)
            except AssertionError as error:
                failed = True
                print(f"FAILED {error}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
