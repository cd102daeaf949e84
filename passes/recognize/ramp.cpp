#include "recognize/ramp.h"

#include <cmath>

#include "recognize/scalar_product.h"

namespace lathe {

std::optional<Ramp> ramp_of(const Graph& graph, ValueId value) {
  const NodeId id = graph.value(value).producer;
  if (!id.valid()) return {};
  const Node& clip = graph.node(id);
  if (clip.kind != OpKind::kClip || !clip.input(1).valid() || !clip.input(2).valid()) return {};
  const auto low = scalar_constant(graph, clip.inputs[1]);
  const auto high = scalar_constant(graph, clip.inputs[2]);
  if (!low || !high || *low != 0.0 || !(*high > 0) || std::isinf(*high)) return {};
  const auto shifted = shifted_value(graph, clip.inputs[0]);
  if (!shifted) return {};
  return Ramp{shifted->term, shifted->shift, *high, {id, shifted->inner}};
}

}  // namespace lathe
