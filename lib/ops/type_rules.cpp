#include "ops/type_rules.h"

#include <fmt/format.h>

#include "ir/error.h"

namespace lathe::type_rule {
namespace {

DType at(Types inputs, size_t i) { return i < inputs.size() ? inputs[i] : DType::kUndefined; }

// A dtype attribute; `fallback` when absent or 0.
DType from_attribute(const Node& node, std::string_view name, DType fallback) {
  const int64_t number = node.attributes.int_or(name, 0);
  if (number < 0 || number >= kDTypeCount)
    throw bad_input("node.dtype",
                    fmt::format("attribute '{}' is {}, which is no element type", name, number));
  return number == 0 ? fallback : static_cast<DType>(number);
}

}  // namespace

DType unknown(const Node&, Types, size_t) { return DType::kUndefined; }

DType cast(const Node& node, Types, size_t) {
  return from_attribute(node, "to", DType::kUndefined);
}

DType dtype_or_float(const Node& node, Types, size_t) {
  return from_attribute(node, "dtype", DType::kFloat32);
}

DType dtype_or_int32(const Node& node, Types, size_t) {
  return from_attribute(node, "dtype", DType::kInt32);
}

DType dtype_or_input(const Node& node, Types inputs, size_t) {
  return from_attribute(node, "dtype", at(inputs, 0));
}

DType output_datatype(const Node& node, Types, size_t) {
  return from_attribute(node, "output_datatype", DType::kFloat32);
}

DType constant(const Node& node, Types, size_t) {
  const Attributes& attributes = node.attributes;
  if (const Tensor* tensor = attributes.tensor("value")) return tensor->dtype();
  if (attributes.has("value_float") || attributes.has("value_floats")) return DType::kFloat32;
  if (attributes.has("value_int") || attributes.has("value_ints")) return DType::kInt64;
  if (attributes.has("value_string") || attributes.has("value_strings")) return DType::kString;
  return DType::kUndefined;
}

DType constant_of_shape(const Node& node, Types, size_t) {
  const Tensor* tensor = node.attributes.tensor("value");
  return tensor != nullptr ? tensor->dtype() : DType::kFloat32;
}

DType quantize_linear(const Node& node, Types inputs, size_t) {
  if (at(inputs, 2) != DType::kUndefined) return inputs[2];
  // A present zero point of unknown type says nothing; only an absent one means the default.
  if (node.input(2).valid()) return DType::kUndefined;
  return from_attribute(node, "output_dtype", DType::kUInt8);
}

DType dequantize_linear(const Node& node, Types inputs, size_t) {
  return from_attribute(node, "output_dtype", at(inputs, 1));
}

DType dynamic_quantize_linear(const Node&, Types, size_t index) {
  return index == 1 ? DType::kFloat32 : DType::kUInt8;
}

DType qlinear_binary(const Node&, Types inputs, size_t) {
  return at(inputs, 7) != DType::kUndefined ? inputs[7] : at(inputs, 0);
}

DType qgemm(const Node& node, Types inputs, size_t) {
  return node.input(8).valid() ? at(inputs, 8) : DType::kFloat32;
}

DType batch_normalization(const Node&, Types inputs, size_t index) {
  return index == 0 ? at(inputs, 0) : at(inputs, 3);
}

DType layer_normalization(const Node& node, Types inputs, size_t index) {
  return index == 0 ? at(inputs, 0) : from_attribute(node, "stash_type", DType::kFloat32);
}

DType skip_layer_normalization(const Node&, Types inputs, size_t index) {
  return index == 1 || index == 2 ? DType::kFloat32 : at(inputs, 0);
}

DType attention(const Node&, Types inputs, size_t index) {
  // Y and the score output follow Q, the present key and value follow K and V.
  return at(inputs, index == 1 || index == 2 ? index : 0);
}

DType string_split(const Node&, Types, size_t index) {
  return index == 0 ? DType::kString : DType::kInt64;
}

}  // namespace lathe::type_rule
