"""ONNX Runtime as a process that answers.

usage: serve_onnxruntime.py MODEL INPUTS.npz THREADS [NAME=SIZE]...
NAME=SIZE fixes free dimensions of the inputs, so that it can optimize more.
"""

import sys

import numpy as np
import onnxruntime

from serve import serve


def load(path, inputs, threads, dimensions):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    for name, size in (item.rsplit("=", 1) for item in dimensions):
        options.add_free_dimension_override_by_name(name, int(size))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return (lambda: session.run_with_iobinding(binding)), f"onnxruntime {onnxruntime.__version__}"


if __name__ == "__main__":
    with np.load(sys.argv[2]) as file:
        arrays = {name: np.ascontiguousarray(file[name]) for name in file.files}
    serve(lambda: load(sys.argv[1], arrays, int(sys.argv[3]), sys.argv[4:]))
