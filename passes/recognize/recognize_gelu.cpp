#include <cmath>

#include "recognize/recognition_passes.h"
#include "recognize/scalar_product.h"
#include "recognize/written_out.h"

namespace lathe {
namespace {

using Nodes = std::vector<NodeId>;

void append(Nodes& nodes, const Nodes& more) {
  nodes.insert(nodes.end(), more.begin(), more.end());
}

bool is_power(const ScalarProduct& product, ValueId x, size_t exponent) {
  return product.divisors.empty() && product.factors == std::vector<ValueId>(exponent, x);
}

// x + 0.044715 x^3
bool is_cubic(const Graph& graph, ValueId sum, ValueId x, Nodes& inner) {
  const NodeId id = graph.value(sum).producer;
  if (!id.valid() || graph.node(id).kind != OpKind::kAdd) return false;
  const Node& add = graph.node(id);
  for (const size_t side : {size_t{0}, size_t{1}}) {
    if (add.inputs[side] != x) continue;
    const ScalarProduct cube = scalar_product(graph, add.inputs[1 - side]);
    if (!is_power(cube, x, 3) || !is_close(graph, x, cube.scale, 0.044715)) continue;
    inner.push_back(id);
    append(inner, cube.inner);
    return true;
  }
  return false;
}

// 1 + 0.044715 x^2
bool is_cubic_over_x(const Graph& graph, ValueId sum, ValueId x, Nodes& inner) {
  const auto shifted = shifted_value(graph, sum);
  if (!shifted || shifted->shift != 1.0) return false;
  const ScalarProduct square = scalar_product(graph, shifted->term);
  if (!is_power(square, x, 2) || !is_close(graph, x, square.scale, 0.044715)) return false;
  inner.push_back(shifted->inner);
  append(inner, square.inner);
  return true;
}

// sqrt(2 / pi) (x + 0.044715 x^3)
bool is_tanh_argument(const Graph& graph, const ScalarProduct& product, ValueId x, Nodes& inner) {
  if (!product.divisors.empty() || !is_close(graph, x, product.scale, std::sqrt(2 / M_PI)))
    return false;
  if (product.factors.size() == 1) return is_cubic(graph, product.factors[0], x, inner);
  if (product.factors.size() != 2) return false;
  for (const size_t side : {size_t{0}, size_t{1}})
    if (product.factors[side] == x && is_cubic_over_x(graph, product.factors[1 - side], x, inner))
      return true;
  return false;
}

// 1 + erf(x / sqrt 2) or 1 + tanh(..); the value of the attribute `approximate`, nullptr for
// neither.
const char* gate_of(const Graph& graph, ValueId gate, ValueId x, Nodes& inner) {
  const auto shifted = shifted_value(graph, gate);
  if (!shifted || shifted->shift != 1.0) return nullptr;
  const NodeId id = graph.value(shifted->term).producer;
  if (!id.valid()) return nullptr;
  const Node& curve = graph.node(id);
  if (curve.kind != OpKind::kErf && curve.kind != OpKind::kTanh) return nullptr;
  const ScalarProduct argument = scalar_product(graph, curve.inputs[0]);
  inner.push_back(shifted->inner);
  inner.push_back(id);
  append(inner, argument.inner);
  if (curve.kind == OpKind::kTanh)
    return is_tanh_argument(graph, argument, x, inner) ? "tanh" : nullptr;
  return argument.is_scaled(x) && is_close(graph, x, argument.scale, M_SQRT1_2) ? "none" : nullptr;
}

bool recognize_gelu_at(Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  if (root.kind != OpKind::kMul && root.kind != OpKind::kDiv) return false;
  const ScalarProduct product = scalar_product(graph, root.outputs[0]);
  if (product.factors.size() != 2 || !product.divisors.empty()) return false;
  for (const size_t side : {size_t{0}, size_t{1}}) {
    const ValueId x = product.factors[side];
    if (!is_close(graph, x, product.scale, 0.5) || !keeps_shape(graph, x, root.outputs[0]))
      continue;
    WrittenOut gelu{id, product.inner, OpKind::kGelu, {x}, {}};
    const char* approximate = gate_of(graph, product.factors[1 - side], x, gelu.inner);
    if (approximate == nullptr) continue;
    gelu.attributes.set("approximate", std::string(approximate));
    return replace_written_out(graph, gelu);
  }
  return false;
}

}  // namespace

int recognize_gelu(Graph& graph) { return for_each_live_node(graph, recognize_gelu_at); }

}  // namespace lathe
