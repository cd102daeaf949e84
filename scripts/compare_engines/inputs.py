"""What a model takes: arrays of random numbers that it can compute with."""

import dataclasses

import numpy as np
import onnx

# Ops that hand integers on to the lookup that limits them.
PASSED_ON = {"Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Transpose"}


@dataclasses.dataclass
class Input:
    name: str
    dtype: np.dtype
    shape: list  # of numbers; a free dimension has its name, or "" for none
    limit: int | None  # integers are below it; None: ones


def initializer_shapes(graph):
    return {item.name: list(item.dims) for item in graph.initializer}


def limit_of(graph, name, shapes):
    """The number of rows of the tables in which values of `name` are looked up; None for none."""
    limits = []
    for node in graph.node:
        if node.op_type == "Gather" and len(node.input) > 1 and node.input[1] == name:
            axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
            if node.input[0] in shapes:
                limits.append(shapes[node.input[0]][axis])
        elif node.op_type in PASSED_ON and node.input[0] == name:
            limits.append(limit_of(graph, node.output[0], shapes))
    return min((limit for limit in limits if limit is not None), default=None)


def inputs_of(path):
    graph = onnx.load(path, load_external_data=False).graph
    shapes = initializer_shapes(graph)
    found = []
    for item in graph.input:
        if item.name in shapes:
            continue
        kind = item.type.tensor_type
        shape = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param
                 for dim in kind.shape.dim]
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
        found.append(Input(item.name, dtype, shape, limit_of(graph, item.name, shapes)))
    return found


def batch_dimension(inputs):
    """Name of the free first dimension ("" for one without a name); None where all are fixed."""
    return next((item.shape[0] for item in inputs if item.shape and isinstance(item.shape[0], str)),
                None)


def free_dimensions(inputs, batch):
    """name -> size; others than the batch become 1."""
    first = batch_dimension(inputs)
    return {size: batch if size == first else 1
            for item in inputs for size in item.shape if isinstance(size, str) and size}


def random_arrays(inputs, batch, seed):
    """Normal numbers for float inputs; integers below the input's limit, or ones (masks)."""
    rng, first = np.random.default_rng(seed), batch_dimension(inputs)
    arrays = {}
    for item in inputs:
        shape = [size if isinstance(size, int) else batch if size == first else 1
                 for size in item.shape]
        if item.dtype.kind == "f":
            array = rng.standard_normal(shape)
        elif item.limit is not None:
            array = rng.integers(0, item.limit, shape)
        else:
            array = np.ones(shape)
        arrays[item.name] = np.ascontiguousarray(array, item.dtype)
    return arrays
