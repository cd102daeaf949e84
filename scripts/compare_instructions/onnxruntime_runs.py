"""ONNX Runtime with one thread, for the emulator. usage: onnxruntime_runs.py MODEL RUNS"""

import sys

import numpy as np
import onnxruntime

TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8,
         "tensor(int64)": np.int64, "tensor(int32)": np.int32}


def main():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    inputs = {}
    for value in session.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in value.shape]
        inputs[value.name] = np.zeros(shape, TYPES[value.type])
    for _ in range(int(sys.argv[2])):
        session.run(None, inputs)


if __name__ == "__main__":
    main()
