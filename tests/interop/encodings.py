"""Encodings that lathe exports: read again they make the same file, and ONNX Runtime's quantizer takes
its tensor overrides from them.

usage: encodings.py LATHE SOURCE_DIR
"""

import json
import os
import shutil
import sys
import tempfile

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

import zoo

TYPES = {"QUInt8": QuantType.QUInt8, "QInt8": QuantType.QInt8}


class RandomReader(CalibrationDataReader):
    def __init__(self):
        rng = np.random.default_rng(0)
        self.feeds = iter([{"image": rng.random((1, 1, 28, 28), np.float32)} for _ in range(4)])

    def get_next(self):
        return next(self.feeds, None)


def scale_of(model, name):
    for tensor in model.graph.initializer:
        if tensor.name == name + "_scale":
            return numpy_helper.to_array(tensor)
    return None


def main():
    lathe, source = sys.argv[1:3]
    model = os.path.join(source, "scripts", "glyphs.onnx")
    with tempfile.TemporaryDirectory() as folder:
        def quantize(name, *flags):
            out = os.path.join(folder, name)
            zoo.lathe(lathe, "quantize", model, "--data", "random", "--effort", "fast", "-o", out,
                      *flags)
            with open(out, "rb") as file:
                return file.read()

        bytes_of = {}
        for kind in ("aimet", "onnxruntime"):
            file = os.path.join(folder, kind + ".json")
            first = quantize(kind + ".onnx", "--export-encodings", f"{kind}={file}")
            # Other data of the same kind would give other ranges: what is imported counts.
            again = quantize(kind + "2.onnx", "--import-encodings", file)
            assert first == again, f"{kind}: another file after import"
            other = quantize(kind + "3.onnx", "--import-encodings", file, "--observer", "entropy",
                             "--samples", "2")
            names = [init.name for init in onnx.load_from_string(first).graph.initializer]
            ours, theirs = onnx.load_from_string(first), onnx.load_from_string(other)
            for name in (item for item in names if item.endswith("_scale")):
                a, b = scale_of(ours, name[:-6]), scale_of(theirs, name[:-6])
                assert np.array_equal(a, b), f"{kind}: {name} {a} {b}"
            bytes_of[kind] = first
        assert bytes_of["aimet"] == bytes_of["onnxruntime"]

        with open(os.path.join(folder, "onnxruntime.json")) as file:
            encodings = json.load(file)
        known = {name for node in onnx.load(model).graph.node for name in node.output} | {"image"}
        overrides = {}
        for name, rows in encodings.items():
            if name in known and len(rows) == 1:
                kind = TYPES[rows[0]["quant_type"]]
                dtype = np.uint8 if kind == QuantType.QUInt8 else np.int8
                overrides[name] = [{"quant_type": kind,
                                    "scale": np.array(rows[0]["scale"], np.float32),
                                    "zero_point": np.array(rows[0]["zero_point"], dtype)}]
        out = os.path.join(folder, "theirs.onnx")
        # ONNX Runtime writes beside the model.
        beside = shutil.copy(model, folder)
        quantize_static(beside, out, RandomReader(), per_channel=True,
                        weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
                        extra_options={"TensorQuantOverrides": overrides})
        theirs = onnx.load(out)
        compared = 0
        for name, rows in overrides.items():
            scale = scale_of(theirs, name)
            if scale is None:
                continue
            compared += 1
            assert scale == np.float32(rows[0]["scale"]), f"{name}: {scale} {rows[0]['scale']}"
        assert compared >= 10, f"only {compared} of {len(overrides)} scales compared"
        print(f"{compared} scales of ONNX Runtime's file are those that lathe exported")


if __name__ == "__main__":
    main()
