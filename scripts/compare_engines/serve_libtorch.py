"""LibTorch as a process that answers: serve_libtorch.py MODEL.pt INPUTS.npz THREADS."""

import sys

import numpy as np
import torch

from serve import serve


def load(path, inputs, threads):
    torch.set_num_threads(threads)
    module = torch.jit.optimize_for_inference(torch.jit.load(path).eval())
    tensors = [torch.from_numpy(array) for array in inputs]

    def execute():
        with torch.inference_mode():
            module(*tensors)
    # Its profiling executor optimizes in the second and third execution.
    execute()
    execute()
    return execute, f"torch {torch.__version__}"


if __name__ == "__main__":
    with np.load(sys.argv[2]) as file:
        arrays = [file[name] for name in file.files]
    serve(lambda: load(sys.argv[1], arrays, int(sys.argv[3])))
