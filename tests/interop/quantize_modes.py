"""Every mode and format of `lathe quantize` on real models and small ones, run by ONNX Runtime.

Each file must load, keep inputs and outputs, stay near the float model, and compute in lathe what
it computes in ONNX Runtime.

usage: quantize_modes.py LATHE SOURCE_DIR [CASE]...
"""

import collections
import json
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper

import zoo
from quantized_loads_everywhere import compared_outputs, signature, stored_bytes
from small_model import small_model as small

# (model, flags, calibration samples, least SQNR in dB against float, ops that the file must hold).
# The bounds are about 2 dB below what was measured.
CASES = [
    ("mobilenet_v2_imagenet", "--mode weight-only", 0, 21, {"DequantizeLinear"}),
    ("mobilenet_v2_imagenet", "--mode weight-only --weight-bits 4", 0, 0, {"DequantizeLinear"}),
    ("mobilenet_v2_imagenet", "--mode weight-only --weight-bits 4", 32, 7, {"DequantizeLinear"}),
    ("vit_pgd_2_3_16", "--mode weight-only", 0, 37, {"DequantizeLinear"}),
    ("vit_pgd_2_3_16", "--mode weight-only --weight-bits 4", 0, 17, {"DequantizeLinear"}),
    ("cct_2_32_op20", "--mode weight-only --weight-bits 4", 0, 19, {"DequantizeLinear"}),
    ("vit_pgd_2_3_16", "--mode weight-only --weight-bits 4 --format matmulnbits", 0, 17, {"MatMulNBits"}),
    ("cct_2_32_op20", "--mode weight-only --weight-bits 4 --format matmulnbits --block-size 16", 0, 15,
     {"MatMulNBits"}),
    ("lstm_autoencoder", "--mode weight-only", 0, 47, {"DequantizeLinear"}),
    ("lstm_autoencoder", "--mode weight-only --weight-bits 4", 0, 26, {"DequantizeLinear"}),
    ("gtcrn_simple", "--mode weight-only", 0, 6, {"DequantizeLinear"}),
    ("silero_vad_v5", "--mode weight-only", 0, 22, {"DequantizeLinear"}),
    ("lstm_autoencoder", "--mode dynamic", 0, 42, {"DynamicQuantizeLSTM"}),
    ("silero_vad_v5", "--mode dynamic", 0, 41, {"DynamicQuantizeLSTM"}),
    ("vit_pgd_2_3_16", "--mode dynamic", 0, 36, {"DynamicQuantizeLinear", "MatMulInteger"}),
    ("cct_2_32_op20", "--mode dynamic", 0, 42, {"DynamicQuantizeLinear", "MatMulInteger"}),
    ("gtcrn_simple", "--mode dynamic", 0, 31, {"MatMulInteger", "DequantizeLinear"}),
    ("magika_standard_v3_3", "--mode dynamic", 0, 47, {"MatMulInteger"}),
    ("mnist_cntk_op8", "--mode dynamic --include op:*", 0, 40, {"MatMulInteger", "ConvInteger"}),
    ("mobilenet_v2_imagenet", "--mode float16", 0, 40, {"Cast"}),
    ("vit_pgd_2_3_16", "--mode float16", 4, 56, {"Cast"}),
    ("silero_vad_v5", "--mode float16", 0, 56, {"Cast"}),
    ("SqueezeNet_fp16", "--mode float16", 0, 40, set()),
    ("cifar10_resnet_2b", "--format qoperator", 32, 31, {"QLinearConv", "QLinearAdd", "QGemm"}),
    ("mobilenet_v2_imagenet", "--format qoperator", 8, 14, {"QLinearConv", "QLinearAdd", "QGemm"}),
    ("cct_2_32_op20", "--format qoperator", 16, 36, {"QLinearConv", "QLinearMatMul"}),
    ("yolox_nano", "--format qoperator", 4, 4, {"QLinearConv", "QLinearSigmoid", "QLinearConcat"}),
    ("candy", "--format qoperator", 1, 15, {"QLinearConv"}),
    ("lstm_autoencoder", "--mode auto", 0, 20, {"DynamicQuantizeLSTM"}),
    ("vit_pgd_2_3_16", "--mode auto", 0, 20, {"MatMulInteger"}),
]
# lathe and ONNX Runtime round sums and activations at different places.
MIN_SAME_DB = 25
SAMES = {"yolox_nano --format qoperator": 15, "mobilenet_v2_imagenet --format qoperator": 15}


def op_counts(path):
    counts = collections.Counter()

    def count(graph):
        for node in graph.node:
            counts[node.op_type] += 1
            for attribute in node.attribute:
                count(attribute.g)
    count(onnx.load(path).graph)
    return counts


def same_in_lathe(binary, path, samples, folder):
    """SQNR in dB between ONNX Runtime's and lathe's outputs of the same file."""
    feed, result = os.path.join(folder, "feed.npz"), os.path.join(folder, "out.npz")
    samples = samples[:2]
    zoo.save_feeds(feed, samples)
    zoo.lathe(binary, "run", path, "--data", feed, "-o", result, "--force", "--quiet")
    model = zoo.session(path, optimized=False)
    expected = [zoo.run_session(model, sample) for sample in samples]
    worst = float("inf")
    with np.load(result) as got:
        for output in got.files:
            reference = [item[output] for item in expected]
            reference = reference[0] if len(reference) == 1 else np.stack(reference)
            worst = min(worst, zoo.sqnr_db([reference], [got[output]]))
    return worst


def check_case(binary, case, models, data, folder):
    name, flags, count, floor, ops = case
    path, output = os.path.join(models, name + ".onnx"), os.path.join(folder, "out.onnx")
    evaluated = 1 if name == "candy" else 8
    samples = zoo.feeds(name, models, data, 1 if name == "cct_2_32_op20" and not count
                        else count + evaluated)
    arguments = flags.split()
    if count:
        calibration = os.path.join(folder, "calibration.npz")
        zoo.save_feeds(calibration, samples[:count])
        arguments += ["--data", calibration]
    judged = samples[count:] or samples
    evaluation = os.path.join(folder, "evaluation.npz")
    zoo.save_feeds(evaluation, judged)
    report = json.loads(zoo.lathe(binary, "quantize", path, "-o", output, *arguments, "--eval",
                                  evaluation, "--metric", "sqnr", "--force", "--json").stdout)
    wrong = []
    onnx.checker.check_model(output, full_check=False)
    if signature(path) != signature(output):
        wrong.append(f"inputs or outputs changed: {signature(path)}, {signature(output)}")
    found = op_counts(output)
    if missing := ops - set(found):
        wrong.append(f"no {', '.join(sorted(missing))} among {dict(found)}")
    before = zoo.session(path)
    worst, broken = compared_outputs(before, zoo.session(output), judged)
    plain, more = compared_outputs(before, zoo.session(output, optimized=False), judged)
    wrong += broken + more
    said = report["quality"][0]["after"]
    same = same_in_lathe(binary, output, judged, folder)
    print(f"  {name} {flags}: {worst:.1f} dB (unfused {plain:.1f}, lathe says {said:.1f}), "
          f"{same:.0f} dB between lathe and ONNX Runtime, "
          f"{stored_bytes(output) / stored_bytes(path):.2f} of the size; "
          f"{report['quantize']['coverage']}", flush=True)
    if not worst >= floor:
        wrong.append(f"{worst:.1f} dB is below {floor}")
    if not same >= SAMES.get(f"{name} {flags}", MIN_SAME_DB):
        wrong.append(f"lathe and ONNX Runtime are {same:.1f} dB apart")
    # `said` is of the first output, `plain` of the worst one. float16 is rounded at other places.
    if said < plain - 2 and said < 50:
        wrong.append(f"lathe reports {said:.1f} dB, ONNX Runtime has {plain:.1f}")
    return wrong


def small_models():
    """(name, model, feed, flags, least dB, ops)."""
    rng = np.random.default_rng(5)

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    x = {"x": normal(3, 64)}
    gemm = small([helper.make_node("Gemm", ["x", "w", "c"], ["y"], alpha=0.5, beta=2.0, transB=1)],
                 [("x", "f", [3, 64])], [("y", [3, 5])], {"w": normal(5, 64), "c": normal(5)})
    yield "gemm", gemm, x, "--mode dynamic", 30, {"MatMulInteger"}
    yield "gemm", gemm, x, "--mode weight-only --weight-bits 4", 15, {"DequantizeLinear"}
    deep = small([helper.make_node("MatMul", ["x", "w"], ["y"])], [("x", "f", [2, 3, 64])],
                 [("y", [2, 3, 7])], {"w": normal(2, 64, 7)})
    yield "matmul3", deep, {"x": normal(2, 3, 64)}, "--mode dynamic", 30, {"MatMulInteger"}
    yield ("matmul3", deep, {"x": normal(2, 3, 64)}, "--mode weight-only --weight-bits 4", 15,
           {"DequantizeLinear"})
    conv1 = small([helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1], group=2)],
                  [("x", "f", [1, 4, 20])], [("y", [1, 6, 20])],
                  {"w": normal(6, 2, 3), "b": normal(6)})
    yield "conv1d", conv1, {"x": normal(1, 4, 20)}, "--mode dynamic --include op:Conv", 30, {"ConvInteger"}
    table = small([helper.make_node("Gather", ["w", "i"], ["g"]),
                   helper.make_node("MatMul", ["g", "v"], ["y"])],
                  [("i", "i", [2, 5])], [("g", [2, 5, 64]), ("y", [2, 5, 8])],
                  {"w": normal(100, 64), "v": normal(64, 8)})
    ids = {"i": rng.integers(0, 100, (2, 5))}
    yield "table", table, ids, "--mode weight-only", 35, {"DequantizeLinear", "Gather"}
    yield "table", table, ids, "--mode weight-only --weight-bits 4", 15, {"DequantizeLinear", "Gather"}
    yield ("table", table, ids, "--mode weight-only --weight-bits 4 --format matmulnbits", 15,
           {"GatherBlockQuantized", "MatMulNBits"})
    odd = small([helper.make_node("MatMul", ["x", "w"], ["y"]),
                 helper.make_node("Gemm", ["x", "v", "c"], ["z"], transB=1)],
                [("x", "f", [3, 100])], [("y", [3, 9]), ("z", [3, 7])],
                {"w": normal(100, 9), "v": normal(7, 100), "c": normal(7)})
    for flags in ("", " --format matmulnbits", " --format matmulnbits --block-size 64"):
        yield ("cut blocks", odd, {"x": normal(3, 100)}, "--mode weight-only --weight-bits 4" + flags, 15,
               {"MatMulNBits"} if flags else {"DequantizeLinear"})
    for direction, number in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
        weights = {"w": normal(number, 32, 16) / 4, "r": normal(number, 32, 8) / 4,
                   "b": normal(number, 64) / 4, "h": normal(number, 2, 8), "c": normal(number, 2, 8),
                   "p": normal(number, 24) / 4}
        lstm = small([helper.make_node("LSTM", ["x", "w", "r", "b", "", "h", "c", "p"],
                                       ["y", "yh", "yc"], hidden_size=8, direction=direction)],
                     [("x", "f", [6, 2, 16])],
                     [("y", [6, number, 2, 8]), ("yh", [number, 2, 8]), ("yc", [number, 2, 8])],
                     weights)
        feed = {"x": normal(6, 2, 16)}
        yield f"lstm-{direction}", lstm, feed, "--mode dynamic", 25, {"DynamicQuantizeLSTM"}
        yield (f"lstm-{direction}", lstm, feed, "--mode dynamic --weight-granularity tensor", 25,
               {"DynamicQuantizeLSTM"})
        yield f"lstm-{direction}", lstm, feed, "--mode weight-only", 30, {"DequantizeLinear"}
    gru = small([helper.make_node("GRU", ["x", "w", "r"], ["y"], hidden_size=8)],
                [("x", "f", [6, 2, 32])], [("y", [6, 1, 2, 8])],
                {"w": normal(1, 24, 32) / 4, "r": normal(1, 24, 8) / 4})
    feed = {"x": normal(6, 2, 32)}
    yield "gru", gru, feed, "--mode dynamic", 30, {"GRU", "DequantizeLinear"}
    yield "gru", gru, feed, "--mode weight-only --weight-bits 4", 12, {"GRU", "DequantizeLinear"}
    zero = small([helper.make_node("MatMul", ["x", "w"], ["a"]),
                  helper.make_node("MatMul", ["x", "v"], ["b"]),
                  helper.make_node("Add", ["a", "b"], ["y"])],
                 [("x", "f", [3, 64])], [("y", [3, 9])],
                 {"w": np.zeros((64, 9), np.float32), "v": normal(64, 9)})
    for flags in ("--mode dynamic", "--mode weight-only", "--mode weight-only --weight-bits 4",
                  "--mode float16"):
        yield "zero", zero, x, flags, 15, set()
    ops = small([helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1] * 4),
                 helper.make_node("Relu", ["c"], ["r"]),
                 helper.make_node("AveragePool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
                 helper.make_node("Conv", ["p", "v"], ["d"]),
                 helper.make_node("LeakyRelu", ["d"], ["l"], alpha=0.1),
                 helper.make_node("Sigmoid", ["d"], ["s"]),
                 helper.make_node("Mul", ["l", "s"], ["m"]),
                 helper.make_node("Concat", ["m", "p"], ["k"], axis=1),
                 helper.make_node("MaxPool", ["k"], ["n"], kernel_shape=[2, 2], strides=[2, 2]),
                 helper.make_node("Conv", ["n", "u"], ["e"]),
                 helper.make_node("GlobalAveragePool", ["e"], ["g"]),
                 helper.make_node("Flatten", ["g"], ["f"]),
                 helper.make_node("Gemm", ["f", "t", "o"], ["q"], transB=1),
                 helper.make_node("Relu", ["q"], ["z"]),
                 helper.make_node("MatMul", ["z", "h"], ["y"])],
                [("x", "f", [1, 3, 16, 16])], [("y", [1, 5])],
                {"w": normal(8, 3, 3, 3), "b": normal(8), "v": normal(8, 8, 1, 1),
                 "u": normal(12, 16, 1, 1), "t": normal(10, 12), "o": normal(10), "h": normal(10, 5)})
    yield ("ops", ops, {"x": normal(1, 3, 16, 16)}, "--format qoperator --data random --effort fast",
           15, {"QLinearConv", "QLinearAveragePool", "QLinearLeakyRelu", "QLinearSigmoid", "QLinearMul",
            "QLinearConcat", "MaxPool", "QLinearGlobalAveragePool", "Flatten", "QGemm",
            "MatMulIntegerToFloat"})


def check_small(binary, case, folder):
    name, model, feed, flags, floor, ops = case
    path, output = os.path.join(folder, "small.onnx"), os.path.join(folder, "small.out.onnx")
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    zoo.lathe(binary, "quantize", path, "-o", output, *flags.split(), "--force")
    wrong = []
    if signature(path) != signature(output):
        wrong.append(f"inputs or outputs changed: {signature(path)}, {signature(output)}")
    found = op_counts(output)
    if missing := ops - set(found):
        wrong.append(f"no {', '.join(sorted(missing))} among {dict(found)}")
    if name == "ops" and found["Conv"] + found["Gemm"] + found["MatMul"]:
        wrong.append(f"left in float: {dict(found)}")
    before = zoo.session(path)
    worst, broken = compared_outputs(before, zoo.session(output), [feed])
    plain, more = compared_outputs(before, zoo.session(output, optimized=False), [feed])
    same = same_in_lathe(binary, output, [feed], folder)
    print(f"  {name} {flags}: {worst:.1f} dB (unfused {plain:.1f}), {same:.0f} dB between lathe and "
          "ONNX Runtime", flush=True)
    wrong += broken + more
    if not min(worst, plain) >= floor:
        wrong.append(f"{worst:.1f} dB, unfused {plain:.1f} dB: below {floor}")
    if not same >= MIN_SAME_DB:
        wrong.append(f"lathe and ONNX Runtime are {same:.1f} dB apart")
    return wrong


def checked(title, check):
    try:
        wrong = check()
    except Exception as error:  # ONNX Runtime and onnx have exceptions of their own
        wrong = [f"{type(error).__name__}: {error}"]
    for sentence in wrong:
        print(f"FAILED {title}: {sentence}", flush=True)
    return not wrong


def main():
    binary, root = sys.argv[1:3]
    wanted = sys.argv[3:]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for case in small_models():
            if wanted and not any(part in f"{case[0]} {case[3]}" for part in wanted):
                continue
            if not checked(f"{case[0]} {case[3]}", lambda: check_small(binary, case, folder)):
                failed.append(case[0])
        models, data = zoo.shared_or_skip(root) if not failed else (None, None)
        for case in CASES if models else []:
            title = f"{case[0]} {case[1]}"
            if not zoo.is_quick(case[0]):
                continue
            if wanted and not any(part in title for part in wanted):
                continue
            if not checked(title, lambda: check_case(binary, case, models, data, folder)):
                failed.append(title)
    print(f"failed: {', '.join(failed)}" if failed else "every mode loads and works")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
