"""Cuts a Q/DQ model into single ops and compares each in lathe and in ONNX Runtime."""

import dataclasses
import os

import numpy as np
import onnx

import zoo


@dataclasses.dataclass
class OpResult:
    op: str
    steps: int      # the largest difference of the integer outputs
    differing: int  # elements that differ
    elements: int


def op_between(model, quantize):
    """Nodes from the integer inputs to `quantize`, and the names of those inputs.

    Walks back until a DequantizeLinear of an activation; constants are walked to their end.
    """
    producer = {output: node for node in model.graph.node for output in node.output}
    constants = {item.name for item in model.graph.initializer}
    graph_inputs = {value.name for value in model.graph.input}
    inputs, chosen, open_values = [], {}, [quantize.output[0]]
    while open_values:
        name = open_values.pop()
        if not name or name in constants:
            continue
        if name in graph_inputs:
            return None
        node = producer[name]
        if node.output[0] in chosen:
            continue
        chosen[node.output[0]] = node
        if node.op_type == "DequantizeLinear" and node.input[0] not in constants:
            if node.input[0] not in inputs:
                inputs.append(node.input[0])
            continue
        open_values.extend(node.input)
    ordered = [node for node in model.graph.node if node.output[0] in chosen]
    return ordered, inputs


def compare_ops(binary, path, feed, folder):
    """OpResult of every op that has an integer input and an integer output."""
    model = onnx.load(path)
    quantizers = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    traced = onnx.ModelProto()
    traced.CopyFrom(model)
    zero_points = {item.name: item.data_type for item in model.graph.initializer}
    for node in quantizers:
        traced.graph.output.append(onnx.helper.make_tensor_value_info(
            node.output[0], zero_points[node.input[2]], None))
    every = os.path.join(folder, "traced.onnx")
    onnx.save(traced, every)
    values = zoo.run_session(zoo.session(every, optimized=False), feed)

    results = []
    for quantize in quantizers:
        found = op_between(model, quantize)
        if found is None:
            continue
        nodes, inputs = found
        used = {name for node in nodes for name in node.input}
        types = {name: onnx.helper.np_dtype_to_tensor_dtype(values[name].dtype)
                 for name in [*inputs, quantize.output[0]]}
        graph = onnx.helper.make_graph(
            nodes, "op",
            [onnx.helper.make_tensor_value_info(name, types[name], values[name].shape)
             for name in inputs],
            [onnx.helper.make_tensor_value_info(quantize.output[0], types[quantize.output[0]],
                                                values[quantize.output[0]].shape)],
            [item for item in model.graph.initializer if item.name in used])
        single = os.path.join(folder, "op.onnx")
        onnx.save(onnx.helper.make_model(graph, opset_imports=model.opset_import,
                                         ir_version=model.ir_version), single)
        sample = {name: values[name] for name in inputs}
        data, output = os.path.join(folder, "op.npz"), os.path.join(folder, "op.out.npz")
        zoo.save_feeds(data, [sample])
        zoo.lathe(binary, "run", single, "--data", data, "-o", output, "--force", "--quiet")
        expected = zoo.run_session(zoo.session(single), sample)[quantize.output[0]]
        with np.load(output) as file:
            got = file[quantize.output[0]]
        if got.dtype != expected.dtype or got.shape != expected.shape:
            raise AssertionError(f"{quantize.name}: {got.dtype} {got.shape} for {expected.dtype} "
                                 f"{expected.shape}")
        difference = np.abs(expected.astype(np.int64) - got.astype(np.int64))
        kind = "+".join(node.op_type for node in nodes
                        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"))
        results.append(OpResult(kind, int(difference.max()), int((difference > 0).sum()),
                                int(difference.size)))
    return results
