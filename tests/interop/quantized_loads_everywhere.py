"""Every float model, quantized with lathe's defaults, loads and works in ONNX Runtime.

usage: quantized_loads_everywhere.py LATHE SOURCE_DIR [MODEL]...
"""

import filecmp
import json
import os
import sys
import tempfile
import time

import numpy as np
import onnx

import zoo

ALREADY_QUANTIZED = {"pcb_simple_cnn_qdq"}
# They stay as they are, with a warning: their work is in LSTM, or inside the branches of If.
NOTHING_TO_QUANTIZE = {"lstm_autoencoder", "silero_vad_v5"}
# Calibration samples; evaluated on the samples after them.
SAMPLES = {"candy": 2, "yolox_nano": 4, "SINet_Softmax": 4, "super_resolution_x3": 6,
           "silero_vad_v5": 64, "gtcrn_simple": 64, "magika_standard_v3_3": 32,
           "lstm_autoencoder": 32, "mnist_cntk_op8": 64, "cifar10_resnet_2b": 64,
           "cifar10_resnet_4b": 64, "vit_pgd_2_3_16": 64, "cct_2_32_op20": 16}
# Samples to judge by, where not four: magika's are files of many kinds.
JUDGED = {"candy": 2, "magika_standard_v3_3": 64}
# The least SQNR in dB over a model's float outputs, about 3 dB below what was measured.
MIN_SQNR_DB = {"SINet_Softmax": 15, "SqueezeNet_fp16": 27, "candy": 22, "cct_2_32_op20": 36,
               "cifar10_resnet_2b": 32, "cifar10_resnet_4b": 31, "gtcrn_simple": 4.5,
               "lstm_autoencoder": 100, "magika_standard_v3_3": 30, "mnist_cntk_op8": 40,
               "mobilenet_v2_imagenet": 15, "pcb_simple_cnn_fp32": 33, "silero_vad_v5": 100,
               "super_resolution_x3": 22, "ultraface_RFB_320": 41, "vit_pgd_2_3_16": 30,
               "yolox_nano": 4}


def signature(path):
    """Names, element types and dimensions of inputs and outputs."""
    model = zoo.session(path, optimized=False)
    return [[(value.name, value.type, value.shape) for value in side]
            for side in (model.get_inputs(), model.get_outputs())]


def stored_bytes(path):
    """A model's size with its external data."""
    return sum(os.path.getsize(part) for part in (path, path + ".data") if os.path.exists(part))


def quantized_twice(binary, path, folder, calibration):
    """Paths from one and from two threads, and the report of the first."""
    outputs = [os.path.join(folder, f"int8.{threads}.onnx") for threads in (1, 2)]
    reports = [zoo.lathe(binary, "quantize", path, "-o", output, "--data", calibration, "--threads",
                         threads, "--force", "--json").stdout
               for threads, output in zip((1, 2), outputs)]
    return outputs, json.loads(reports[0])


def compared_outputs(before, after, samples):
    """The least SQNR over the outputs; what is wrong with them besides."""
    wrong, worst = [], float("inf")
    pairs = [(zoo.run_session(before, sample), zoo.run_session(after, sample)) for sample in samples]
    for output in pairs[0][0]:
        reference, got = ([pair[side][output] for pair in pairs] for side in (0, 1))
        if [(item.shape, item.dtype) for item in reference] != [(item.shape, item.dtype) for item in got]:
            wrong.append(f"{output}: {got[0].dtype} {got[0].shape}, not {reference[0].dtype} "
                         f"{reference[0].shape}")
            continue
        if not all(np.isfinite(item).all() for item in got):
            wrong.append(f"{output} is not finite")
        worst = min(worst, zoo.sqnr_db(reference, got))
    return worst, wrong


def check_model(binary, name, models, data, folder):
    """What is wrong with the model, as a list of sentences."""
    path = os.path.join(models, name + ".onnx")
    count = SAMPLES.get(name, 8)
    calibration = os.path.join(folder, "calibration.npz")
    samples = zoo.feeds(name, models, data, count + JUDGED.get(name, 4))
    zoo.save_feeds(calibration, samples[:count])
    started = time.monotonic()
    outputs, report = quantized_twice(binary, path, folder, calibration)
    seconds = (time.monotonic() - started) / 2

    wrong = []
    if not filecmp.cmp(*outputs, shallow=False):
        wrong.append("one and two threads gave different bytes")
    onnx.checker.check_model(outputs[0], full_check=True)
    quantizers = [node.op_type for node in onnx.load(outputs[0]).graph.node].count("QuantizeLinear")
    warned = "quantize.nothing" in [warning["code"] for warning in report["warnings"]]
    if (quantizers == 0) != (name in NOTHING_TO_QUANTIZE) or warned != (quantizers == 0):
        wrong.append(f"{quantizers} QuantizeLinear, warned: {warned}")
    if signature(path) != signature(outputs[0]):
        wrong.append(f"inputs or outputs changed: {signature(path)}, {signature(outputs[0])}")
    worst, broken = compared_outputs(zoo.session(path), zoo.session(outputs[0]), samples[count:])
    wrong += broken
    floor = MIN_SQNR_DB[name]
    if not worst >= floor:
        wrong.append(f"{worst:.1f} dB is below {floor}")
    print(f"  {name}: {worst:.1f} dB, {stored_bytes(outputs[0]) / stored_bytes(path):.2f} of the "
          f"size, {quantizers} QuantizeLinear, {seconds:.1f} s", flush=True)
    return wrong


def main():
    binary, root = sys.argv[1:3]
    models, data = zoo.shared_or_skip(root)
    names = sys.argv[3:] or [name for name in zoo.model_names(models)
                             if name not in ALREADY_QUANTIZED and zoo.is_quick(name)]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            try:
                wrong = check_model(binary, name, models, data, folder)
            except Exception as error:  # ONNX Runtime and onnx have exceptions of their own
                wrong = [f"{type(error).__name__}: {error}"]
            for sentence in wrong:
                print(f"FAILED {name}: {sentence}", flush=True)
            if wrong:
                failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all quantized models load and work")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
