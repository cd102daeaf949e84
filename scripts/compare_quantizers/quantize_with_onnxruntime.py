"""One process: ONNX Runtime's preprocessing, then quantize_static, as its documentation advises.

usage: quantize_with_onnxruntime.py MinMax|Entropy|Percentile MODEL CALIBRATION.npz OUT.onnx NOTE

The first of these ways whose file ONNX Runtime loads is taken; NOTE is a text file that tells what
did not work before it. A model that already has opset 13 is not converted.
"""

import dataclasses
import os
import sys
import traceback

import numpy as np
import onnxruntime
from onnxruntime.quantization import (CalibrationDataReader, CalibrationMethod, QuantFormat,
                                      QuantType, quantize_static)
from onnxruntime.quantization.shape_inference import quant_pre_process

from converted import converted_to_opset_13

FULL, PLAIN = {}, {"skip_symbolic_shape": True}
SHAPES_ONLY = {"skip_symbolic_shape": True, "skip_optimization": True}
# Widens weight scales where an int32 bias would overflow; fails on biases of several dimensions.
UNADJUSTED = {"QDQDisableWeightAdjustForInt32Bias": True}


@dataclasses.dataclass
class Way:
    said: str
    preprocessing: dict | None
    per_channel: bool = True
    extra: dict = dataclasses.field(default_factory=dict)


WAYS = [Way("", FULL),
        Way("no symbolic shapes", PLAIN),
        Way("scales not adjusted to biases", FULL, extra=UNADJUSTED),
        Way("no symbolic shapes, scales not adjusted to biases", PLAIN, extra=UNADJUSTED),
        Way("no graph optimization", SHAPES_ONLY),
        Way("no preprocessing", None),
        Way("no symbolic shapes, per-tensor weights", PLAIN, per_channel=False),
        Way("no preprocessing, per-tensor weights", None, per_channel=False)]


class Reader(CalibrationDataReader):
    def __init__(self, path):
        with np.load(path) as file:
            self.arrays = dict(file)
        self.next, self.count = 0, len(next(iter(self.arrays.values())))

    def get_next(self):
        if self.next == self.count:
            return None
        feed = {name: array[self.next] for name, array in self.arrays.items()}
        self.next += 1
        return feed


def quantize(method, model, calibration, out, way):
    source = model
    if way.preprocessing is not None:
        source = out + ".prepared.onnx"
        quant_pre_process(model, source, **way.preprocessing)
    quantize_static(source, out, Reader(calibration), quant_format=QuantFormat.QDQ,
                    per_channel=way.per_channel, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod[method],
                    extra_options=dict(way.extra))
    onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])


def main(method, model, calibration, out, note):
    model, conversion = converted_to_opset_13(model, out + ".opset13.onnx")
    failures = []
    for way in WAYS:
        try:
            quantize(method, model, calibration, out, way)
        except MemoryError:
            raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1].name
            told = " ".join(str(error).split())[:160]
            failures.append(f"{type(error).__name__} in {place}: {told}")
            print(f"{way.said or 'plainly'}: {failures[-1]}", flush=True)
            if os.path.exists(out):
                os.remove(out)
            continue
        with open(note, "w") as file:
            file.write("; ".join(text for text in (conversion, way.said) if text))
        return
    sys.exit(f"{conversion}: {failures[0]}" if conversion else failures[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
