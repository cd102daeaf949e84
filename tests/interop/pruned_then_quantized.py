"""Pruned, then quantized, then compiled: zeros stay zero, and every step loads in ONNX Runtime.

Prints one table of size, latency and accuracy. usage: pruned_then_quantized.py LATHE SOURCE_DIR
"""

import os
import sys

import numpy as np
import onnx
from onnx import numpy_helper

import pictures
import zoo
from accuracy_slow import run_checks
from quantized_loads_everywhere import signature

MODEL = "cifar10_resnet_4b"
PICTURES = 1000


def constants(graph):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def float_weights(path):
    """By node name: the weight of every convolution and matrix product."""
    graph = onnx.load(path).graph
    values = constants(graph)
    return {node.name: values[node.input[1]] for node in graph.node
            if node.op_type in ("Conv", "Gemm", "MatMul")}


def integer_weights(path):
    """The same of a quantized file: the stored integers and the zero points that belong to them."""
    graph = onnx.load(path).graph
    values = constants(graph)
    made_by = {output: node for node in graph.node for output in node.output}
    found = {}
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        scaled = made_by.get(node.input[1])
        if scaled is None or scaled.op_type != "DequantizeLinear":
            continue
        integers = values[scaled.input[0]]
        zero = values[scaled.input[2]] if len(scaled.input) > 2 else np.zeros((), integers.dtype)
        axis = next((item.i for item in scaled.attribute if item.name == "axis"), 1)
        shape = [1] * integers.ndim
        if zero.size > 1:
            shape[axis] = zero.size
        found[node.name] = (integers, zero.reshape(shape))
    return found


def zeros_stay(setting, checks):
    """Where a masked float weight is zero, its integer is the zero point: exactly 0.0 again."""
    calibration = setting.cifar("train", pictures.RESNET_STD, 0, 256)
    for structure, expected in (("element", 0.5), ("2:4", 0.5), ("block-1x4", 0.5)):
        masked, integer = (setting.made(f"{kind}.onnx") for kind in ("masked", "integer"))
        setting.lathe("prune", setting.model(MODEL), "-o", masked, "--structure", structure,
                      "--sparsity", "50%", "--data", calibration, "--force")
        setting.lathe("quantize", masked, "-o", integer, "--data", calibration, "--force")
        before, after = float_weights(masked), integer_weights(integer)
        checks.expect(f"{structure}: layers that became integer", len(after), len(before))
        lost = zeros = elements = 0
        for name, (integers, zero) in after.items():
            if integers.dtype not in (np.int8, np.uint8) or integers.shape != before[name].shape:
                raise AssertionError(f"{name}: {integers.dtype} {integers.shape}")
            lost += int(((before[name] == 0) & (integers != zero)).sum())
            zeros += int((before[name] == 0).sum())
            elements += integers.size
        checks.expect(f"{structure}: share of zeros in the float file", zeros / elements,
                      expected - 0.02, expected + 0.02)
        checks.expect(f"{structure}: zeros that quantization lost", lost, 0, 0)
        feed = zoo.feeds(MODEL, setting.models, setting.data, 1)[0]
        zoo.session(integer).run(None, feed)


def top1(path, feeds, labels):
    model = zoo.session(path)
    return float(np.mean([int(model.run(None, feed)[0].argmax()) == label
                          for feed, label in zip(feeds, labels)]))


def chain(setting, checks):
    """Half of the work away, then int8, then compiled: size and latency fall, accuracy holds."""
    sys.path.insert(0, os.path.join(setting.root, "scripts"))
    import compare_quantization
    data = setting.cifar("train", pictures.RESNET_STD, 0, 2000)
    steps = {"dense": setting.model(MODEL)}
    for name, arguments in (
            ("pruned", ("prune", "--budget", "macs=50%", "--scope", "global", "--criterion", "l2",
                        "--round-to", "8", "--latency", "off", "--data", data)),
            ("quantized", ("quantize", "--data", data)),
            ("compiled", ("compile",))):
        command, *flags = arguments
        source = list(steps.values())[-1]
        steps[name] = setting.made(f"{name}.onnx")
        setting.lathe(command, source, "-o", steps[name], *flags)
        if signature(source) != signature(steps[name]):
            raise AssertionError(f"{name}: inputs or outputs changed")
    images, labels = pictures.cifar(setting.data)
    input_name = zoo.session(steps["dense"]).get_inputs()[0].name
    feeds = [{input_name: pictures.normalized(image, pictures.CIFAR_MEAN, pictures.RESNET_STD)}
             for image in images[:PICTURES]]
    accuracy = {name: top1(path, feeds, labels) for name, path in steps.items()}
    size = {name: os.path.getsize(path) for name, path in steps.items()}
    sessions = {name: zoo.session(path, threads=1) for name, path in steps.items()}
    latency = compare_quantization.interleaved_latencies(sessions, feeds[0])
    print(f"  {'step':<10} {'KB':>7} {'ms':>7} {'top1':>7}   ({PICTURES} pictures, one thread)")
    for name in steps:
        print(f"  {name:<10} {size[name] / 1e3:>7.1f} {latency[name]:>7.3f} {accuracy[name]:>7.3f}",
              flush=True)
    checks.expect("size after pruning, of the dense", size["pruned"] / size["dense"], 0, 0.65)
    checks.expect("size after quantization, of the pruned", size["quantized"] / size["pruned"], 0,
                  0.4)
    checks.expect("size after compile, of the quantized", size["compiled"] / size["quantized"], 0,
                  1.02)
    checks.expect("top1 dense", accuracy["dense"], 0.73)
    checks.expect("top1 pruned", accuracy["pruned"], 0.6)
    checks.expect("drop by quantization", accuracy["pruned"] - accuracy["quantized"], -0.03, 0.02)
    checks.expect("drop by compile", accuracy["quantized"] - accuracy["compiled"], -0.01, 0.01)


if __name__ == "__main__":
    run_checks((zeros_stay, chain), "every step holds")
