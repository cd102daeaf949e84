"""One process: ONNX Runtime's other ways to small files, beside those of compare_quantizers.

usage: quantize_more.py qoperator|dynamic|weights|weights4|float16 MODEL CALIBRATION.npz OUT NOTE

weights, weights4: MatMulNBits, in blocks of 32 as its default; it has nothing for convolutions.
float16: its own converter, inputs and outputs staying float32.
"""

import os
import sys

import onnx
import onnxruntime
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                             "compare_quantizers"))
from converted import converted_to_opset_13
from quantize_with_onnxruntime import Reader


def quantize(kind, prepared, calibration, out, per_channel):
    if kind == "float16":
        from onnxruntime.transformers.float16 import convert_float_to_float16
        onnx.save(convert_float_to_float16(onnx.load(prepared), keep_io_types=True), out)
    elif kind.startswith("weights"):
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
        made = MatMulNBitsQuantizer(onnx.load(prepared), bits=4 if kind == "weights4" else 8,
                                    block_size=32)
        made.process()
        made.model.save_model_to_file(out, False)
    elif kind == "dynamic":
        quantize_dynamic(prepared, out, per_channel=per_channel, weight_type=QuantType.QInt8)
    else:
        quantize_static(prepared, out, Reader(calibration), quant_format=QuantFormat.QOperator,
                        per_channel=per_channel, activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8)
    onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])


def main(kind, model, calibration, out, note):
    source, conversion = converted_to_opset_13(model, out + ".opset13.onnx")
    prepared = out + ".prepared.onnx"
    said = [conversion]
    try:
        quant_pre_process(source, prepared)
    except Exception:
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        said.append("no symbolic shapes")
    try:
        quantize(kind, prepared, calibration, out, True)
    except Exception as error:
        print(f"per channel: {' '.join(str(error).split())[:160]}", flush=True)
        quantize(kind, prepared, calibration, out, False)
        said.append("per-tensor weights")
    with open(note, "w") as file:
        file.write("; ".join(text for text in said if text))


if __name__ == "__main__":
    main(*sys.argv[1:])
