"""Networks made to be hard to quantize, with seeded weights: what real ones lost on that are not at hand.

Each is written once into a folder. Inputs are as users have them: not normalized, few samples that
are unlike each other.
"""

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from subjects import Subject


def saved(path, nodes, weights, inputs, outputs):
    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        nodes, os.path.basename(path)[:-5], [info(*item) for item in inputs.items()],
        [info(*item) for item in outputs.items()],
        [numpy_helper.from_array(value.astype(np.float32), name)
         for name, value in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


def deep_narrow_mlp(path):
    """Sixteen layers of 24 units; features of scales from 1 to 20, as in a table."""
    rng = np.random.default_rng(1)
    scales = 10 ** rng.uniform(0, 1.3, 20)
    rows = rng.standard_normal((264, 20)) * scales + scales * rng.standard_normal(20)
    nodes, weights, x, name = [], {}, rows, "x"
    for layer in range(16):
        out = 24 if layer < 15 else 6
        weight = rng.standard_normal((x.shape[1], out)) / np.sqrt(x.shape[1])
        if layer == 0:
            weight /= scales[:, None]
        y = x @ weight
        # As training leaves layers: spread of about one, few units far larger.
        weight *= np.where(rng.random(out) < 0.08, 6, 1) / y.std(0)
        bias = rng.standard_normal(out) * 0.3
        weights[f"w{layer}"], weights[f"b{layer}"] = weight, bias
        nodes.append(helper.make_node("Gemm", [name, f"w{layer}", f"b{layer}"], [f"g{layer}"]))
        x, name = x @ weight + bias, f"g{layer}"
        if layer < 15:
            nodes.append(helper.make_node("Relu", [name], [f"r{layer}"]))
            x, name = np.maximum(x, 0), f"r{layer}"
    saved(path, nodes, weights, {"x": [1, 20]}, {name: [1, 6]})
    feeds = [{"x": row[None].astype(np.float32)} for row in rows]
    return Subject(feeds[:64], feeds[64:])


def blobs(rng, side, count):
    """A dark, noisy picture with a few bright spots, 0..255."""
    y, x = np.mgrid[:side, :side]
    picture = 20 + 6 * rng.standard_normal((side, side))
    for _ in range(count):
        cy, cx = rng.uniform(4, side - 4, 2)
        picture += 220 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / rng.uniform(2, 9))
    return np.clip(picture, 0, 255)


def sparse_map(path):
    """A detector of bright spots: its output is zero but for a few places."""
    rng = np.random.default_rng(2)
    nodes, weights, name, channels = [], {}, "image", 1
    for layer, out in enumerate((8, 16, 16)):
        weight = 0.25 * rng.standard_normal((out, channels, 3, 3)) / np.sqrt(channels * 9)
        weight += np.full((out, channels, 3, 3), 1.1 / (9 * channels))
        weights[f"w{layer}"], weights[f"b{layer}"] = weight, 2 * rng.standard_normal(out)
        nodes += [helper.make_node("Conv", [name, f"w{layer}", f"b{layer}"], [f"c{layer}"],
                                   pads=[1, 1, 1, 1]),
                  helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"])]
        name, channels = f"r{layer}", out
    weights["w3"] = np.full((1, channels, 1, 1), 1 / channels)
    weights["b3"] = np.array([-120.0])
    nodes += [helper.make_node("Conv", [name, "w3", "b3"], ["c3"]),
              helper.make_node("Relu", ["c3"], ["map"])]
    saved(path, nodes, weights, {"image": [1, 1, 96, 96]}, {"map": [1, 1, 96, 96]})
    # Some pictures have no spot at all.
    feeds = [{"image": blobs(rng, 96, i % 4)[None, None].astype(np.float32)} for i in range(120)]
    return Subject(feeds[:48], feeds[48:])


def autoencoder_1d(path):
    """Convolutions over a signal whose output is the signal: its smallest steps are to be kept."""
    rng = np.random.default_rng(3)
    nodes, weights, name, channels = [], {}, "signal", 1
    plan = [("Conv", 16, 2), ("Conv", 32, 2), ("ConvTranspose", 16, 2), ("ConvTranspose", 1, 2)]
    for layer, (op, out, stride) in enumerate(plan):
        shape = (out, channels, 4) if op == "Conv" else (channels, out, 4)
        weights[f"w{layer}"] = rng.standard_normal(shape) * np.sqrt(2 / (channels * 4))
        weights[f"b{layer}"] = 0.05 * rng.standard_normal(out)
        nodes.append(helper.make_node(op, [name, f"w{layer}", f"b{layer}"], [f"c{layer}"],
                                      strides=[stride], pads=[1, 1]))
        name, channels = f"c{layer}", out
        if layer < 3:
            nodes.append(helper.make_node("Tanh", [name], [f"t{layer}"]))
            name = f"t{layer}"
    saved(path, nodes, weights, {"signal": [1, 1, 256]}, {name: [1, 1, 256]})
    time = np.arange(256)
    feeds = []
    for _ in range(160):
        signal = sum(rng.uniform(0, 1) * np.sin(time * rng.uniform(0.01, 0.6) + rng.uniform(0, 6))
                     for _ in range(3))
        feeds.append({"signal": signal[None, None].astype(np.float32)})
    return Subject(feeds[:32], feeds[32:])


MADE = {"hard_deep_narrow_mlp": deep_narrow_mlp, "hard_sparse_map": sparse_map,
        "hard_autoencoder_1d": autoencoder_1d}
