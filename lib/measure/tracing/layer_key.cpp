#include "tracing/layer_key.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ir/error.h"

namespace lathe {
namespace {

// Longer constants are data: tables, not parameters of the op.
constexpr int64_t kMostElements = 32;

std::string tensor_text(const Tensor& tensor) {
  std::string text = fmt::format("{} {}", dtype_name(tensor.dtype()), shape_text(tensor.shape()));
  if (is_integer(tensor.dtype()) && tensor.numel() <= kMostElements)
    text += fmt::format(" [{}]", fmt::join(tensor.to_int64(), ","));
  return text;
}

struct AttributeText {
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(float value) const { return fmt::format("{}", value); }
  std::string operator()(const std::string& value) const { return escape_untrusted(value, 60); }
  std::string operator()(const Tensor& value) const { return tensor_text(value); }
  std::string operator()(const std::vector<int64_t>& value) const {
    return fmt::format("{}", fmt::join(value, ","));
  }
  std::string operator()(const std::vector<float>& value) const {
    return fmt::format("{}", fmt::join(value, ","));
  }
  std::string operator()(const std::vector<std::string>& value) const {
    std::string text;
    for (const std::string& each : value)
      text += (text.empty() ? "" : ",") + escape_untrusted(each, 60);
    return text;
  }
  std::string operator()(const TypeBytes& value) const {
    return fmt::format("a type of {} bytes", value.bytes.size());
  }
};

std::optional<std::string> value_text(const Graph& graph, ValueId id) {
  if (!id.valid()) return "-";
  const Value& value = graph.value(id);
  if (value.constant) return "const " + tensor_text(*value.constant);
  if (!value.type.is_tensor() || value.type.dtype == DType::kUndefined || !value.type.dims)
    return std::nullopt;
  const auto shape = static_shape(*value.type.dims);
  if (!shape) return std::nullopt;
  return fmt::format("{} {}", dtype_name(value.type.dtype), shape_text(*shape));
}

// nullopt when one of them is not known.
std::optional<std::string> list_text(const Graph& graph, const std::vector<ValueId>& values) {
  std::string text;
  for (const ValueId id : values) {
    const std::optional<std::string> each = value_text(graph, id);
    if (!each) return std::nullopt;
    text += (text.empty() ? "" : ", ") + *each;
  }
  return text;
}

}  // namespace

std::optional<std::string> layer_key(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (!node.subgraphs.empty()) return std::nullopt;
  const std::optional<std::string> inputs = list_text(graph, node.inputs);
  const std::optional<std::string> outputs = list_text(graph, node.outputs);
  if (!inputs || !outputs) return std::nullopt;
  std::string attributes;
  for (const auto& [name, value] : node.attributes)
    attributes += fmt::format("{}{}={}", attributes.empty() ? "" : ", ", escape_untrusted(name, 60),
                              std::visit(AttributeText{}, value));
  const std::string domain = escape_untrusted(node.domain());
  return fmt::format("{}{}{} {{{}}} ({}) -> {}", domain, domain.empty() ? "" : ".",
                     escape_untrusted(node.type_name()), attributes, *inputs, *outputs);
}

}  // namespace lathe
