#include "recognize/recognition_passes.h"
#include "recognize/written_out.h"

namespace lathe {
namespace {

NodeId producer_of_kind(const Graph& graph, ValueId value, std::initializer_list<OpKind> kinds) {
  const NodeId id = value.valid() ? graph.value(value).producer : NodeId{};
  if (!id.valid()) return {};
  for (const OpKind kind : kinds)
    if (graph.node(id).kind == kind) return id;
  return {};
}

// At most one dimension may be unproven: the number of elements settles it.
bool are_equal_but_one(const Dims& a, const Dims& b) {
  if (a.size() != b.size()) return false;
  int open = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (is_same_dim(a[i], b[i])) continue;
    if (a[i].known() && b[i].known()) return false;
    // An empty tensor's number of elements settles nothing, but holds nothing either.
    ++open;
  }
  return open <= 1;
}

bool recognize_flattened_softmax_at(Graph& graph, NodeId id) {
  const Node& reshape = graph.node(id);
  if (reshape.kind != OpKind::kReshape) return false;
  const NodeId middle =
      producer_of_kind(graph, reshape.inputs[0], {OpKind::kSoftmax, OpKind::kLogSoftmax});
  if (!middle.valid()) return false;
  const Node& softmax = graph.node(middle);
  const NodeId first = producer_of_kind(graph, softmax.inputs[0], {OpKind::kFlatten});
  if (!first.valid()) return false;
  const int64_t axis = softmax.attributes.int_or("axis", -1);
  if (axis != -1 && axis != 1) return false;
  const ValueId x = graph.node(first).inputs[0];
  const auto& dims = graph.value(x).type.dims;
  const auto& result = graph.value(reshape.outputs[0]).type.dims;
  if (!dims || !result || dims->empty() || !are_equal_but_one(*dims, *result)) return false;
  const auto last = static_cast<int64_t>(dims->size()) - 1;
  const int64_t split = graph.node(first).attributes.int_or("axis", 1);
  if (split != last && split != -1) return false;
  WrittenOut pattern{id, {middle, first}, softmax.kind, {x}, {}};
  pattern.attributes.set("axis", int64_t{-1});
  return replace_written_out(graph, pattern);
}

}  // namespace

int recognize_flattened_softmax(Graph& graph) {
  return for_each_live_node(graph, recognize_flattened_softmax_at);
}

}  // namespace lathe
