"""LiteRT with one thread, whose kernels are XNNPACK's, for the emulator. usage: litert_runs.py MODEL RUNS"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main():
    interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
    interpreter.allocate_tensors()
    for value in interpreter.get_input_details():
        interpreter.set_tensor(value["index"], np.zeros(value["shape"], value["dtype"]))
    for _ in range(int(sys.argv[2])):
        interpreter.invoke()


if __name__ == "__main__":
    main()
