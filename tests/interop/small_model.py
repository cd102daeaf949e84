"""Networks of a few nodes."""

from onnx import TensorProto, helper, numpy_helper


def small_model(nodes, inputs, outputs, weights, opset=17):
    """`inputs`: (name, "f" or "i" for int64, shape); `outputs`: (name, shape), float."""
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT if kind == "f" else TensorProto.INT64,
                                       shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
