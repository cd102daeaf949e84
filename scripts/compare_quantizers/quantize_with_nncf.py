"""One process: nncf.quantize on an ONNX file with its defaults, or nncf.compress_weights.

usage: quantize_with_nncf.py default|transformer|weights MODEL CALIBRATION.npz OUT.onnx NOTE
"""

import sys

import nncf
import numpy as np
import onnx

from converted import converted_to_opset_13


def main(kind, path, calibration, out, note):
    path, conversion = converted_to_opset_13(path, out + ".opset13.onnx")
    with np.load(calibration) as file:
        arrays = dict(file)
    count = len(next(iter(arrays.values())))
    feeds = [{name: array[i] for name, array in arrays.items()} for i in range(count)]
    chosen = {"model_type": nncf.ModelType.TRANSFORMER} if kind == "transformer" else {}
    try:
        model = (nncf.compress_weights(onnx.load(path)) if kind == "weights" else
                 nncf.quantize(onnx.load(path), nncf.Dataset(feeds), subset_size=count, **chosen))
    except Exception as error:
        told = " ".join(str(error).split())[:160]
        sys.exit(f"{conversion + ': ' if conversion else ''}{type(error).__name__}: {told}")
    onnx.save(model, out)
    with open(note, "w") as file:
        file.write(conversion)


if __name__ == "__main__":
    main(*sys.argv[1:])
