"""ONNX Runtime executes the files with its default optimizations: outputs, noise, latency."""

import time

import numpy as np
import onnx
import onnxruntime

# Nodes whose int8 arithmetic is the point; and ops that only move what a DequantizeLinear gave.
COMPUTE = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "MatMul": 2, "LSTM": 3, "GRU": 3}
INTEGER = {"QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger",
           "DynamicQuantizeLSTM"}
MOVING = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast", "Slice",
          "MaxPool", "Pad"}


LEVELS = {"": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
          "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
          "no": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL}


def session(path, level="", threads=2):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def level_for(path):
    """(first level of LEVELS at which ONNX Runtime loads the file, why none before it)."""
    failure = ""
    for level in LEVELS:
        try:
            session(path, level)
            return level, failure
        except Exception as error:
            failure = failure or " ".join(str(error).split())[:160]
    raise ValueError(failure)


def outputs(path, subject, level="", states=None):
    """(output names, one list of arrays a sample).

    Recurrent models are fed their own states, or `states` (what another run of them gave).
    """
    model = session(path, level)
    names = [item.name for item in model.get_outputs()]
    state, results = dict(subject.initial), []
    for index, feed in enumerate(subject.evaluation):
        results.append(model.run(names, {**state, **feed}))
        source = results if states is None else states
        state.update({target: source[index][names.index(output)]
                      for output, target in subject.carry.items()})
    return names, results


def sqnr_db(reference, got):
    """Of each output: 10 log10(signal / noise), both summed over all samples; infinite when equal.

    None when it is not a number: an output has infinities or NaN.
    """
    figures = []
    for index in range(len(reference[0])):
        signal = noise = 0.0
        for expected, actual in zip(reference, got):
            expected = expected[index].astype(np.float64)
            signal += np.square(expected).sum()
            noise += np.square(expected - actual[index]).sum()
        if not np.isfinite(noise):
            figures.append(None)
        elif noise == 0 or signal == 0:
            figures.append(float("inf") if noise == 0 else float("-inf"))
        else:
            figures.append(float(10 * np.log10(signal / noise)))
    return figures


def graphs(graph):
    """The graph, and all bodies of If, Loop and Scan inside it."""
    yield graph
    for node in graph.node:
        for item in node.attribute:
            for body in [item.g] if item.type == onnx.AttributeProto.GRAPH else item.graphs:
                yield from graphs(body)


def compute_nodes(path):
    """(quantized, all): nodes of COMPUTE, and those whose data and weights are dequantized int8."""
    quantized = total = 0
    model = onnx.load(path, load_external_data=False)
    producers = {name: node for graph in graphs(model.graph) for node in graph.node
                 for name in node.output}

    def dequantized(name):
        node = producers.get(name)
        while node is not None and node.op_type in MOVING:
            node = producers.get(node.input[0])
        if node is not None and node.op_type == "Concat":
            return all(map(dequantized, node.input))
        return node is not None and node.op_type == "DequantizeLinear"
    for graph in graphs(model.graph):
        for node in graph.node:
            needed = COMPUTE.get(node.op_type)
            total += needed is not None or node.op_type in INTEGER
            quantized += (all(dequantized(name) for name in node.input[:needed])
                          if needed is not None else node.op_type in INTEGER)
    return quantized, total


def latencies(files, subject, seconds):
    """Median milliseconds of each file (name -> path, level), taken in turns on one thread.

    One thread: idle threads of a pool spin into the next one's run.
    """
    sessions = {name: session(*file, threads=1) for name, file in files.items()}
    feed = {**subject.initial, **subject.evaluation[0]}
    times = {name: [] for name in sessions}
    for model in sessions.values():
        model.run(None, feed)
    end = time.monotonic() + seconds * len(files)
    while len(times["float"]) < 5 or (len(times["float"]) < 300 and time.monotonic() < end):
        for name, model in sessions.items():
            started = time.perf_counter()
            model.run(None, feed)
            times[name].append(1e3 * (time.perf_counter() - started))
    return {name: float(np.median(values)) for name, values in times.items()}
