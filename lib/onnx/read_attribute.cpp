#include "onnx/read_attribute.h"

#include <fmt/format.h>

#include "ir/error.h"

namespace lathe {
namespace {

using Proto = onnx::AttributeProto;

std::vector<std::string> strings_of(const Proto& proto) {
  return {proto.strings().begin(), proto.strings().end()};
}

ValueType read_tensor_type(const onnx::TypeProto_Tensor& proto) {
  ValueType type = tensor_type(read_dtype(proto.elem_type()));
  if (!proto.has_shape()) return type;
  if (proto.shape().dim_size() > kMaxRank)
    throw over_limit("tensor.rank",
                     fmt::format("a type has {} dimensions", proto.shape().dim_size()));
  Dims dims;
  for (const auto& dim : proto.shape().dim()) {
    if (dim.has_dim_value() && dim.dim_value() >= 0)
      dims.push_back(Dim::of(dim.dim_value()));
    else
      dims.push_back(Dim::named(dim.has_dim_param() ? dim.dim_param() : std::string()));
  }
  type.dims = std::move(dims);
  return type;
}

ValueType wrapped(ValueType::Kind kind, const onnx::TypeProto& element) {
  ValueType type;
  type.kind = kind;
  type.element = std::make_shared<const ValueType>(read_type(element));
  return type;
}

}  // namespace

Proto::AttributeType attribute_type(const Proto& proto) {
  if (proto.type() != Proto::UNDEFINED) return proto.type();
  if (proto.has_f()) return Proto::FLOAT;
  if (proto.has_i()) return Proto::INT;
  if (proto.has_s()) return Proto::STRING;
  if (proto.has_t()) return Proto::TENSOR;
  if (proto.has_g()) return Proto::GRAPH;
  if (proto.has_tp()) return Proto::TYPE_PROTO;
  if (proto.has_sparse_tensor()) return Proto::SPARSE_TENSOR;
  if (proto.floats_size() > 0) return Proto::FLOATS;
  if (proto.ints_size() > 0) return Proto::INTS;
  if (proto.strings_size() > 0) return Proto::STRINGS;
  if (proto.tensors_size() > 0) return Proto::TENSORS;
  if (proto.graphs_size() > 0) return Proto::GRAPHS;
  throw bad_input("node.attribute_type",
                  "attribute '" + escape_untrusted(proto.name()) + "' has neither type nor value");
}

Attribute read_attribute(Proto& proto, TensorSource source) {
  switch (attribute_type(proto)) {
    case Proto::FLOAT: return proto.f();
    case Proto::INT: return static_cast<int64_t>(proto.i());
    case Proto::STRING: return std::move(*proto.mutable_s());
    case Proto::TENSOR: return read_tensor(*proto.mutable_t(), source);
    case Proto::SPARSE_TENSOR: return read_sparse_tensor(*proto.mutable_sparse_tensor(), source);
    case Proto::TYPE_PROTO: return TypeBytes{proto.tp().SerializeAsString()};
    case Proto::FLOATS: return std::vector<float>(proto.floats().begin(), proto.floats().end());
    case Proto::INTS: return std::vector<int64_t>(proto.ints().begin(), proto.ints().end());
    case Proto::STRINGS: return strings_of(proto);
    default:
      throw bad_input("node.attribute_type",
                      fmt::format("attribute '{}' is of type {}, which is not supported",
                                  escape_untrusted(proto.name()), static_cast<int>(proto.type())));
  }
}

Tensor read_constant_node(onnx::NodeProto& node, TensorSource source) {
  if (node.attribute_size() != 1)
    throw bad_input("constant.value", fmt::format("a Constant has one value, this one has {}",
                                                  node.attribute_size()));
  Proto& proto = *node.mutable_attribute(0);
  const std::string& name = proto.name();
  if (!proto.ref_attr_name().empty())
    throw bad_input("node.ref_attribute",
                    "an attribute refers to a function's, but stands outside");
  const auto require = [&](Proto::AttributeType type) {
    if (attribute_type(proto) != type)
      throw bad_input("node.attribute_type",
                      "attribute '" + escape_untrusted(name) + "' has the wrong type");
  };
  if (name == "value" && attribute_type(proto) == Proto::TENSOR)
    return read_tensor(*proto.mutable_t(), source);
  // Experimental files put a sparse tensor under "value" too.
  if (name == "value" || name == "sparse_value") {
    require(Proto::SPARSE_TENSOR);
    return read_sparse_tensor(*proto.mutable_sparse_tensor(), source);
  }
  if (name == "value_float") {
    require(Proto::FLOAT);
    return Tensor::scalar<float>(proto.f());
  }
  if (name == "value_int") {
    require(Proto::INT);
    return Tensor::scalar<int64_t>(proto.i());
  }
  if (name == "value_string") {
    require(Proto::STRING);
    return Tensor::from_strings({}, {proto.s()});
  }
  if (name == "value_floats") {
    require(Proto::FLOATS);
    return Tensor::vector<float>({proto.floats().begin(), proto.floats().end()});
  }
  if (name == "value_ints") {
    require(Proto::INTS);
    return Tensor::vector<int64_t>({proto.ints().begin(), proto.ints().end()});
  }
  if (name == "value_strings") {
    require(Proto::STRINGS);
    return Tensor::from_strings({proto.strings_size()}, strings_of(proto));
  }
  throw bad_input("constant.value", "a Constant has no attribute '" + escape_untrusted(name) + "'");
}

ValueType read_type(const onnx::TypeProto& proto) {
  switch (proto.value_case()) {
    case onnx::TypeProto::kTensorType: return read_tensor_type(proto.tensor_type());
    case onnx::TypeProto::kSequenceType:
      return wrapped(ValueType::Kind::kSequence, proto.sequence_type().elem_type());
    case onnx::TypeProto::kOptionalType:
      return wrapped(ValueType::Kind::kOptional, proto.optional_type().elem_type());
    case onnx::TypeProto::VALUE_NOT_SET: {
      // Opaque types are newer than libonnx here: they lie in the unknown fields.
      if (proto.unknown_fields().field_count() == 0) return {};
      break;
    }
    default: break;
  }
  ValueType type;
  type.kind = ValueType::Kind::kOther;
  type.other_bytes = proto.SerializeAsString();
  return type;
}

}  // namespace lathe
