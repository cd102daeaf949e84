#include "graph/graph_passes.h"
#include "recognize/redirect.h"

namespace lathe {
namespace {

bool is_plain(DType dtype) {
  if (is_integer(dtype)) return dtype_bits(dtype) >= 8;
  return dtype == DType::kBool || is_floating(dtype);
}

// Bits of the significand, the hidden one included; also the bits of an integer's magnitude.
int exact_bits(DType dtype) {
  switch (dtype) {
    case DType::kBool: return 1;
    case DType::kBFloat16: return 8;
    case DType::kFloat16: return 11;
    case DType::kFloat32: return 24;
    case DType::kFloat64: return 53;
    default: return dtype_bits(dtype) - (is_signed_integer(dtype) ? 1 : 0);
  }
}

// Largest binary exponent that the type holds.
int exponent(DType dtype) {
  switch (dtype) {
    case DType::kFloat16: return 15;
    case DType::kBFloat16:
    case DType::kFloat32: return 127;
    case DType::kFloat64: return 1023;
    default: return exact_bits(dtype);
  }
}

// Every value of `from` is a value of `to`, infinities and NaN included.
bool is_lossless(DType from, DType to) {
  if (from == to) return true;
  if (!is_plain(from) || !is_plain(to) || to == DType::kBool) return false;
  if (is_floating(from) && !is_floating(to)) return false;
  if (is_integer(from) && is_signed_integer(from) && is_integer(to) && !is_signed_integer(to))
    return false;
  return exact_bits(from) <= exact_bits(to) && exponent(from) <= exponent(to);
}

bool eliminate_cast(Graph& graph, NodeId id) {
  const Node& second = graph.node(id);
  if (second.kind != OpKind::kCast) return false;
  const NodeId producer = graph.value(second.inputs[0]).producer;
  if (!producer.valid() || graph.node(producer).kind != OpKind::kCast) return false;
  const ValueId source = graph.node(producer).inputs[0];
  if (!graph.value(source).type.is_tensor()) return false;
  const DType from = graph.value(source).type.dtype;
  const DType between = graph.value(second.inputs[0]).type.dtype;
  const DType to = graph.value(second.outputs[0]).type.dtype;
  if (!is_plain(from) || !is_plain(to) || !is_lossless(from, between)) return false;
  // A negative float has no defined unsigned value, a negative integer wraps around.
  if (!is_floating(from) && is_floating(between) && is_integer(to) && !is_lossless(from, to))
    return false;
  const ValueId output = second.outputs[0];
  if (from == to && may_redirect(graph, output, source)) {
    graph.replace_all_uses_keeping_output_name(output, source);
    graph.erase_node(id);
  } else {
    graph.replace_input(id, 0, source);
  }
  erase_if_unread(graph, producer);
  return true;
}

}  // namespace

int eliminate_redundant_casts(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += eliminate_redundant_casts(subgraph.graph());
    changes += eliminate_cast(graph, id) ? 1 : 0;
  }
  return changes;
}

}  // namespace lathe
