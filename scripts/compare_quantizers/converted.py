"""What the other tools need before they start: Q/DQ with a scale a channel, from opset 13."""

import onnx
from onnx import version_converter


def converted_to_opset_13(path, out):
    """(path to use, what to say of it): the converted copy, or the file itself with the reason."""
    model = onnx.load(path)
    opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if opset >= 13:
        return path, ""
    try:
        without_initializer_inputs(model)
        onnx.save(version_converter.convert_version(model, 13), out)
    except Exception as error:
        return path, f"not converted from opset {opset} ({' '.join(str(error).split())[:70]})"
    return out, f"opset {opset} to 13"


def without_initializer_inputs(model):
    """IR 3 lists initializers among the inputs too, where other tools take them for real ones."""
    model.ir_version = max(model.ir_version, 7)
    constant = {item.name for item in model.graph.initializer}
    real = [item for item in model.graph.input if item.name not in constant]
    del model.graph.input[:]
    model.graph.input.extend(real)
