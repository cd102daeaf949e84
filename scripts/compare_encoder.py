"""See compare_encoder.sh. usage: compare_encoder.py LATHE ROOT [SHARED] [PAIRS]"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime as ort

ROOT = sys.argv[2]
sys.path.insert(0, os.path.join(ROOT, "tests", "interop"))

from sentence_pairs import Pairs, cosines, sqnr_db  # noqa: E402

SHAPES = ["--input-shape", "input_ids=Nx64", "--input-shape", "attention_mask=Nx64"]
SAMPLES = 100
ROUNDS = 60


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feed(pairs, row):
    return {"input_ids": pairs.ids[row:row + 1], "attention_mask": pairs.masks[row:row + 1]}


class Sentences:
    """Calibration for ONNX Runtime."""

    def __init__(self, arrays):
        self.feeds = iter([{name: array[i] for name, array in arrays.items()} for i in range(SAMPLES)])

    def get_next(self):
        return next(self.feeds, None)


def with_onnxruntime(kind, source, arrays, out):
    from onnxruntime.quantization import quantize_dynamic, quantize_static
    if kind == "dynamic":
        quantize_dynamic(source, out, per_channel=True)
    else:
        quantize_static(source, out, Sentences(arrays), per_channel=True)


def with_nncf(source, calibration, out):
    child = os.path.join(ROOT, "scripts", "compare_quantizers", "quantize_with_nncf.py")
    subprocess.run([sys.executable, "-B", child, "transformer", source, calibration, out, out + ".note"],
                   check=True, capture_output=True)


def native_ms(lathe, path):
    done = subprocess.run([lathe, "bench", path, "--engine", "native", "--threads", "1", "--max-time", "3s",
                           "--json", "--input-shape", "input_ids=1x64", "--input-shape",
                           "attention_mask=1x64"], capture_output=True, text=True)
    if done.returncode != 0:
        return None
    return json.loads(done.stdout)["cases"][0]["latency"]["median"]["value"] / 1e6


def onnxruntime_ms(paths, pairs):
    """Medians in ms; the files take turns."""
    sessions = {name: session(path) for name, path in paths.items()}
    times = {name: [] for name in paths}
    for row in range(ROUNDS):
        for name, model in sessions.items():
            start = time.perf_counter()
            model.run(None, feed(pairs, row))
            times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(all_of) for name, all_of in times.items()}


def embeddings(path, pairs):
    model = session(path)
    return np.concatenate([model.run(None, feed(pairs, row))[0] for row in range(len(pairs.ids))])


def make_all(lathe, source, folder, arrays):
    """Files and the seconds that each took, by name."""
    calibration = os.path.join(folder, "calibration.npz")
    np.savez(calibration, **arrays)
    mine = [lathe, "quantize", source, *SHAPES, "--quiet", "--force", "-o"]
    data = ["--data", calibration, "--samples", str(SAMPLES)]
    makers = {
        "ONNX Runtime dynamic": lambda out: with_onnxruntime("dynamic", source, arrays, out),
        "ONNX Runtime static": lambda out: with_onnxruntime("static", source, arrays, out),
        "NNCF transformer": lambda out: with_nncf(source, calibration, out),
        "lathe dynamic": lambda out: subprocess.run([*mine, out, "--mode", "dynamic"], check=True),
        "lathe static fast": lambda out: subprocess.run([*mine, out, *data, "--effort", "fast"], check=True),
        "lathe static balanced": lambda out: subprocess.run([*mine, out, *data], check=True),
    }
    files, seconds = {"float": source}, {}
    for name, make in makers.items():
        out = os.path.join(folder, name.replace(" ", "_") + ".onnx")
        start = time.monotonic()
        try:
            make(out)
        except Exception as error:  # another tool's
            print(f"{name}: {' '.join(str(error).split())[:160]}", file=sys.stderr)
            continue
        files[name], seconds[name] = out, time.monotonic() - start
    return files, seconds


def main():
    lathe = sys.argv[1]
    shared = sys.argv[3] if len(sys.argv) > 3 else os.path.join(ROOT, "..", "shared")
    encoder = os.path.join(shared, "models", "minilm")
    source = os.path.join(encoder, "minilm_l6_v2.onnx")
    if not os.path.exists(source):
        sys.exit(f"{source} is not there: name the folder that has models/minilm")
    pairs = Pairs(encoder, int(sys.argv[4]) if len(sys.argv) > 4 else None)
    with np.load(os.path.join(encoder, "sts_calibration.npz")) as file:
        arrays = {name: file[name] for name in ("input_ids", "attention_mask")}
    with tempfile.TemporaryDirectory() as folder:
        files, seconds = make_all(lathe, source, folder, arrays)
        times = onnxruntime_ms(files, pairs)
        print(f"{'':22} {'Spearman':>8} {'cosine':>14} {'SQNR dB':>8} {'MiB':>6} {'s':>6} "
              f"{'ORT ms':>7} {'native':>7}")
        reference = None
        for name, path in files.items():
            got = embeddings(path, pairs)
            reference = got if reference is None else reference
            near = cosines(reference, got)
            native = native_ms(lathe, path)
            print(f"{name:22} {pairs.spearman(got):8.4f} {near.mean():7.3f} {near.min():6.3f} "
                  f"{sqnr_db(reference, got):8.1f} {os.path.getsize(path) / 2 ** 20:6.1f} "
                  f"{seconds.get(name, 0):6.1f} {times[name]:7.2f} "
                  f"{'-' if native is None else format(native, '.2f'):>7}", flush=True)


if __name__ == "__main__":
    main()
