"""Measures lathe quantize beside ONNX Runtime's quantize_static on MobileNetV2.

Both read the same 100 pictures, prepared beforehand and stored in one .npz (preparing them is in
nobody's time). Each quantization is a process of its own; seconds are its wall time from start to
end, memory is the largest resident set the kernel saw. Held-out pictures 100..299 judge the results
in ONNX Runtime. Latencies are taken in turns in this process, so that a busy machine meets all.

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
ROUNDS, RUNS_PER_ROUND = 9, 15


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
    quant_pre_process(model, prepared)
    quantize_static(prepared, out, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    calibrate_method=CalibrationMethod[method])


def measured(arguments):
    """(seconds, peak bytes) of one process and its exit; its output is shown when it fails."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            sys.exit(f"{' '.join(arguments)}: code {process.returncode}\n{output.read()[-3000:]}")
    return seconds, usage.ru_maxrss * 1024


def interleaved_latencies(sessions, feed):
    """Median milliseconds of each session in its best round; rounds take turns."""
    best = {name: float("inf") for name in sessions}
    for session in sessions.values():
        session.run(None, feed)
    for _ in range(ROUNDS):
        for name, session in sessions.items():
            times = []
            for _ in range(RUNS_PER_ROUND):
                started = time.perf_counter()
                session.run(None, feed)
                times.append(time.perf_counter() - started)
            best[name] = min(best[name], 1e3 * float(np.median(times)))
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
        rows, commands = {"float": (None, None, model)}, {}
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
            rows[name] = *measured(command), out

        sessions = {name: zoo.session(out) for name, (_, _, out) in rows.items()}
        logits = {name: np.concatenate([session.run(None, feed)[0] for feed in feeds])
                  for name, session in sessions.items()}
        latencies = interleaved_latencies(sessions, feeds[0])
        rates = {name: interpreter_rate(lathe, rows[name][2]) for name in ("float", "lathe auto")}
        print_table(rows, logits, labels, latencies, zoo.sqnr_db)
        print_summary(rows, latencies, rates)


def print_table(rows, logits, labels, latencies, sqnr_db):
    print(f"MobileNetV2, {CALIBRATION_PICTURES} pictures for calibration, {len(labels)} others "
          "judged in ONNX Runtime (2 threads)\n")
    print("| quantizer | seconds | peak memory, MB | size, MB | top-1 | same top-1 | logits SQNR, dB "
          "| latency, ms |\n|---|---|---|---|---|---|---|---|")
    reference = logits["float"]
    for name, (seconds, peak, path) in rows.items():
        best = logits[name].argmax(1)
        sqnr, same = sqnr_db([reference], [logits[name]]), (best == reference.argmax(1)).mean()
        cells = [name, f"{seconds:.1f}" if seconds else "", f"{peak / 1e6:.0f}" if peak else "",
                 f"{os.path.getsize(path) / 1e6:.2f}", f"{(best == labels).mean():.3f}",
                 f"{100 * same:.1f} %" if seconds else "", f"{sqnr:.1f}" if seconds else "",
                 f"{latencies[name]:.2f}"]
        print("| " + " | ".join(cells) + " |")


def print_summary(rows, latencies, rates):
    ours, entropy = rows["lathe auto"], rows["ONNX Runtime Entropy"]
    fastest = min(value for name, value in latencies.items() if name.startswith("ONNX Runtime"))
    print(f"\nlathe's default against ONNX Runtime Entropy: {entropy[0] / ours[0]:.1f} times as fast, "
          f"{entropy[1] / ours[1]:.1f} times less memory; its model takes "
          f"{latencies['lathe auto'] / fastest:.2f} of the time of ONNX Runtime's fastest.")
    for name, rate in rates.items():
        if rate:
            print(f"lathe's interpreter, {name}: {rate:.1f} pictures a second")


if __name__ == "__main__":
    if sys.argv[1] == "--onnxruntime":
        quantize_with_onnxruntime(*sys.argv[2:])
    else:
        main(*sys.argv[1:3])
