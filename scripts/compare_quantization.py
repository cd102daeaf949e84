"""Measures lathe quantize beside ONNX Runtime's quantize_static on MobileNetV2.

Both read the same 100 pictures, prepared beforehand and stored in one .npz (preparing them is in
nobody's time). Each quantization is a process of its own; seconds are its wall time from start to
end (Python's imports are in ONNX Runtime's), memory is the largest resident set the kernel saw. Held-out pictures 100..299 judge the results
in ONNX Runtime. Latencies: one thread, in turns, the least of 150, so that a busy
machine meets all alike; seconds do suffer from it, CPU seconds less.

usage: compare_quantization.py LATHE SOURCE_DIR
       compare_quantization.py --onnxruntime METHOD MODEL CALIBRATION OUT   (one such process)
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

CALIBRATION_PICTURES = 100
RUNS = 150


def quantize_with_onnxruntime(method, model, calibration, out):
    """As its documentation advises: own preprocessing, Q/DQ, one scale a weight channel."""
    from onnxruntime.quantization import (CalibrationDataReader, CalibrationMethod, QuantFormat,
                                          QuantType, quantize_static)
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            with np.load(calibration) as file:
                self.samples = iter(file["input"])

        def get_next(self):
            sample = next(self.samples, None)
            return None if sample is None else {"input": sample}

    prepared = out + ".prepared.onnx"
    # Symbolic shapes would need sympy; ONNX shape inference knows all of this model's.
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    quantize_static(prepared, out, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    calibrate_method=CalibrationMethod[method])


# A process starts with its parent's peak memory as its own (Linux keeps ru_maxrss across exec), and
# this one holds the pictures. So a bare interpreter of about 10 MB starts and measures it.
LAUNCHER = """
import json, os, sys, time
started = time.monotonic()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    json.dump({"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - started,
               "cpu_seconds": usage.ru_utime + usage.ru_stime,
               "peak_bytes": usage.ru_maxrss * 1024}, file)
"""


def measured(arguments):
    """seconds, cpu_seconds and peak_bytes of one process; what it said is shown when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        result = os.path.join(folder, "result.json")
        done = subprocess.run([sys.executable, "-I", "-S", "-c", LAUNCHER, result, *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(f"the launcher failed: {done.stdout[-3000:]}")
        with open(result) as file:
            figures = json.load(file)
    if figures["code"] != 0:
        sys.exit(f"{' '.join(arguments)}: code {figures['code']}\n{done.stdout[-3000:]}")
    return figures


def interleaved_latencies(sessions, feed):
    """Least milliseconds of each session over RUNS runs, taken in turns one by one.

    The sessions must have one thread each: idle threads of a pool spin into the next one's run.
    """
    best = {name: float("inf") for name in sessions}
    for _ in range(RUNS):
        for name, session in sessions.items():
            started = time.perf_counter()
            session.run(None, feed)
            best[name] = min(best[name], 1e3 * (time.perf_counter() - started))
    return best


def interpreter_rate(lathe, model):
    """Pictures a second of lathe's interpreter, or None when bench was not able to tell."""
    done = subprocess.run([lathe, "bench", model, "--engine", "interpreter", "--max-time", "15s",
                           "--json"], capture_output=True, text=True)
    try:
        (case,) = json.loads(done.stdout)["cases"]
        return 1e9 / case["latency"]["median"]["value"]
    except (ValueError, KeyError, TypeError):
        return None


def main(lathe, root):
    sys.path.insert(0, os.path.join(root, "tests", "interop"))
    import pictures
    import zoo
    models, data = zoo.shared_or_skip(root)
    model = os.path.join(models, "mobilenet_v2_imagenet.onnx")
    images, labels = pictures.imagenet(data, 0, 300)
    feeds = [{"input": pictures.normalized(image, pictures.IMAGENET_MEAN, pictures.IMAGENET_STD)}
             for image in images]
    labels = labels[CALIBRATION_PICTURES:]
    with tempfile.TemporaryDirectory() as folder:
        calibration = os.path.join(folder, "calibration.npz")
        zoo.save_feeds(calibration, feeds[:CALIBRATION_PICTURES])
        feeds = feeds[CALIBRATION_PICTURES:]
        rows, commands = {"float": (None, model)}, {}
        for observer in ("auto", "minmax", "entropy", "percentile"):
            out = os.path.join(folder, f"lathe.{observer}.onnx")
            commands[f"lathe {observer}"] = out, [lathe, "quantize", model, "-o", out, "--data",
                                                  calibration, "--observer", observer, "--quiet"]
        for method in ("MinMax", "Entropy", "Percentile"):
            out = os.path.join(folder, f"onnxruntime.{method}.onnx")
            commands[f"ONNX Runtime {method}"] = out, [sys.executable, os.path.abspath(__file__),
                                                       "--onnxruntime", method, model, calibration,
                                                       out]
        for name, (out, command) in commands.items():
            print(f"{name} ...", file=sys.stderr, flush=True)
            rows[name] = measured(command), out

        sessions = {name: zoo.session(out) for name, (_, out) in rows.items()}
        logits = {name: np.concatenate([session.run(None, feed)[0] for feed in feeds])
                  for name, session in sessions.items()}
        single = {name: zoo.session(out, threads=1) for name, (_, out) in rows.items()}
        latencies = interleaved_latencies(single, feeds[0])
        rates = {name: interpreter_rate(lathe, rows[name][1]) for name in ("float", "lathe auto")}
        print_table(rows, logits, labels, latencies, zoo.sqnr_db)
        print_summary(rows, latencies, rates)


def print_table(rows, logits, labels, latencies, sqnr_db):
    print(f"MobileNetV2, {CALIBRATION_PICTURES} pictures for calibration, {len(labels)} others "
          f"judged in ONNX Runtime; load of the machine {os.getloadavg()[0]:.1f}\n")
    print("| quantizer | seconds | CPU seconds | peak memory, MB | size, MB | top-1 | same top-1 | logits SQNR, dB "
          "| latency, ms |\n|---|---|---|---|---|---|---|---|---|")
    reference = logits["float"]
    for name, (cost, path) in rows.items():
        best = logits[name].argmax(1)
        cells = [name, "", "", "", f"{os.path.getsize(path) / 1e6:.2f}",
                 f"{(best == labels).mean():.3f}", "", "", f"{latencies[name]:.2f}"]
        if cost:
            cells[1:4] = (f"{cost['seconds']:.1f}", f"{cost['cpu_seconds']:.1f}",
                          f"{cost['peak_bytes'] / 1e6:.0f}")
            cells[6:8] = (f"{100 * (best == reference.argmax(1)).mean():.1f} %",
                          f"{sqnr_db([reference], [logits[name]]):.1f}")
        print("| " + " | ".join(cells) + " |")


def print_summary(rows, latencies, rates):
    ours, entropy = rows["lathe auto"][0], rows["ONNX Runtime Entropy"][0]
    fastest = min(value for name, value in latencies.items() if name.startswith("ONNX Runtime"))
    print("\nONNX Runtime Entropy against lathe's default: "
          f"{entropy['seconds'] / ours['seconds']:.1f} times the seconds, "
          f"{entropy['cpu_seconds'] / ours['cpu_seconds']:.1f} times the CPU seconds, "
          f"{entropy['peak_bytes'] / ours['peak_bytes']:.1f} times the memory. lathe's model takes "
          f"{latencies['lathe auto'] / fastest:.2f} of the time of ONNX Runtime's fastest.")
    for name, rate in rates.items():
        if rate:
            print(f"lathe's interpreter, {name}: {rate:.1f} pictures a second")


if __name__ == "__main__":
    if sys.argv[1] == "--onnxruntime":
        quantize_with_onnxruntime(*sys.argv[2:])
    else:
        main(*sys.argv[1:3])
