#include "run/constant_value.h"

#include "qdq/qdq.h"
#include "run/foreign_errors.h"
#include "run/node_call.h"

namespace lathe {
namespace {

/// Absent when an input is, as `known` gives it.
template <class Known>
RuntimeValue dequantized(const Node& node, const Known& known) {
  std::vector<RuntimeValue> inputs;
  for (const ValueId input : node.inputs) {
    inputs.push_back(input.valid() ? known(input) : RuntimeValue{});
    if (input.valid() && inputs.back().is_absent()) return {};
  }
  return call_op(node, inputs)[0];
}

}  // namespace

bool hold_dequantized(const Node& node, std::vector<RuntimeValue>& constants) {
  if (node.kind != OpKind::kDequantizeLinear) return false;
  const auto at = [&](ValueId id) -> RuntimeValue& {
    return constants[static_cast<size_t>(id.index)];
  };
  RuntimeValue floats;
  try {
    floats = dequantized(node, at);
  } catch (...) {
    rethrow_foreign(place_of(node));
  }
  if (floats.is_absent()) return false;
  at(node.outputs[0]) = std::move(floats);
  return true;
}

RuntimeValue constant_value(const Graph& graph, ValueId id) {
  const auto constant = [&](ValueId value) {
    const Tensor* tensor = graph.constant(value);
    return tensor != nullptr ? to_runtime(*tensor) : RuntimeValue{};
  };
  const Node* maker = dequantizer(graph, id);
  return maker != nullptr ? dequantized(*maker, constant) : constant(id);
}

Tensor constant_floats(const Graph& graph, ValueId id) {
  if (!is_constant_floats(graph, id)) return {};
  if (const Tensor* constant = graph.constant(id)) return *constant;
  return to_tensor(constant_value(graph, id));
}

}  // namespace lathe
