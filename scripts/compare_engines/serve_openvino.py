"""OpenVINO as a process that answers: serve_openvino.py MODEL INPUTS.npz THREADS [PRECISION]."""

import sys

import numpy as np
import openvino

from serve import serve


def load(path, inputs, threads, precision):
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({name: array.shape for name, array in inputs.items()})
    settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads,
                "ENABLE_CPU_PINNING": False}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    for name, array in inputs.items():
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
    used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    version = openvino.__version__.split("-")[0]
    return (lambda: request.infer(share_outputs=True)), f"openvino {version}, floats as {used}"


if __name__ == "__main__":
    with np.load(sys.argv[2]) as file:
        arrays = {name: np.ascontiguousarray(file[name]) for name in file.files}
    serve(lambda: load(sys.argv[1], arrays, int(sys.argv[3]), (sys.argv[4:] or [""])[0]))
