"""ONNX Runtime multiplies lathe's int8 files in integers: once its optimizer is done, no node reads
a stored weight through a DequantizeLinear.

Both as the file is and with its free dimensions fixed: ONNX Runtime then rewrites more (MatMul and
Add become Gemm), which must not take the integers away.

usage: fused_in_onnxruntime.py LATHE SOURCE_DIR [MODEL]...
"""

import collections
import os
import sys
import tempfile

import onnx
import onnxruntime as ort

import zoo

MODES = {"static": ["--data", "random", "--samples", "2", "--effort", "fast"],
         "qoperator": ["--data", "random", "--samples", "2", "--effort", "fast", "--format",
                       "qoperator"],
         "dynamic": ["--mode", "dynamic"]}
ALREADY_QUANTIZED = {"pcb_simple_cnn_qdq"}
# It has no integer form of these: their weights are stored as integers for the file's size.
NOT_THERE = {"ConvTranspose", "GRU", "LSTM"}


def optimized(path, fixed):
    """The graph that ONNX Runtime executes."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if fixed:
        for item in onnx.load(path, load_external_data=False).graph.input:
            for size in item.type.tensor_type.shape.dim:
                if size.dim_param:
                    options.add_free_dimension_override_by_name(size.dim_param, 1)
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = os.path.join(folder, "optimized.onnx")
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath).graph


def constants(graph):
    return {item.name: item for item in graph.initializer}


def unfused(graph):
    """Types of the nodes that read stored integers through a DequantizeLinear."""
    stored = constants(graph)
    behind = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear" and
              node.input[0] in stored}
    return collections.Counter(node.op_type for node in graph.node
                               if node.op_type not in NOT_THERE and behind & set(node.input))


def check(binary, models, name, mode, flags, folder):
    out = os.path.join(folder, f"{name}.{mode}.onnx")
    done = zoo.lathe(binary, "quantize", os.path.join(models, name + ".onnx"), "-o", out, *flags,
                     "--quiet", "--force", check=False)
    if done.returncode != 0:
        return [f"lathe: {done.stderr.strip()[:200]}"]
    wrong = []
    for fixed in (False, True):
        graph = optimized(out, fixed)
        kinds = unfused(graph)
        if not fixed:
            kinds.pop("Add", None)  # of rows that a Gemm would take in
        if kinds:
            wrong.append(f"{'fixed' if fixed else 'free'} dimensions: dequantized for "
                         f"{dict(kinds)}")
    return wrong


def main(binary, root, *wanted):
    models, _ = zoo.shared_or_skip(root)
    names = wanted or [name for name in zoo.model_names(models)
                       if name not in ALREADY_QUANTIZED and zoo.is_quick(name)]
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            for mode, flags in MODES.items():
                wrong = check(binary, models, name, mode, flags, folder)
                failures += bool(wrong)
                print(f"{name:24} {mode:10} {'; '.join(wrong) or 'all in integers'}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
