// AttributeProto and TypeProto -> Attribute and ValueType.
#pragma once

#include <onnx/onnx_pb.h>

#include <optional>

#include "ir/attribute.h"
#include "ir/graph.h"
#include "onnx/read_tensor.h"

namespace lathe {

/// The attribute's type; inferred from the field that is set where old files leave it out.
/// Throws Error (exit 3) when it cannot be.
onnx::AttributeProto::AttributeType attribute_type(const onnx::AttributeProto& proto);

/// Everything but graphs (see read_graph.h). Tensors are taken out of `proto`. Throws Error (exit
/// 3) for lists of tensors, types or sparse tensors, which no known operator has; a sparse tensor
/// becomes dense.
Attribute read_attribute(onnx::AttributeProto& proto, TensorSource source);

/// The tensor of a Constant node in any of its forms (value, sparse_value, value_float,
/// value_floats, value_int, value_ints, value_string, value_strings). Throws Error (exit 3) unless
/// exactly one of them is there.
Tensor read_constant_node(onnx::NodeProto& proto, TensorSource source);

/// A negative dim_value is an unknown size. Maps, sparse tensors and opaque types keep their bytes.
ValueType read_type(const onnx::TypeProto& proto);

}  // namespace lathe
