#include "ops/mac_rules.h"

#include "ops/op_row.h"

namespace lathe::mac_rule {
namespace {

using Count = std::optional<int64_t>;

const Dims* dims_of_value(const Graph& graph, ValueId id) {
  if (!id.valid()) return nullptr;
  const ValueType& type = graph.value(id).type;
  return type.is_tensor() && type.dims ? &*type.dims : nullptr;
}

Count times(Count a, Count b) {
  int64_t result = 0;
  if (!a || !b || __builtin_mul_overflow(*a, *b, &result)) return std::nullopt;
  return result;
}

Count size_of(const Dim& dim) { return dim.known() ? Count(dim.size) : std::nullopt; }

// Product of dims from `first` on; axis `batch` counts as 1 when unknown.
Count elements(const Dims& dims, size_t first = 0, size_t batch = 0) {
  Count count = 1;
  for (size_t i = first; i < dims.size(); ++i)
    if (i != batch || dims[i].known()) count = times(count, size_of(dims[i]));
  return count;
}

constexpr size_t kNoBatch = SIZE_MAX;

Count conv_by(const Graph& graph, const Node& node, size_t weight_input) {
  const Dims* out = dims_of_value(graph, node.output(0));
  const Dims* weight = dims_of_value(graph, node.input(weight_input));
  if (out == nullptr || weight == nullptr) return std::nullopt;
  return times(elements(*out), elements(*weight, 1, kNoBatch));
}

}  // namespace

Count conv(const Graph& graph, const Node& node) { return conv_by(graph, node, 1); }
Count qlinear_conv(const Graph& graph, const Node& node) { return conv_by(graph, node, 3); }

Count conv_transpose(const Graph& graph, const Node& node) {
  const Dims* in = dims_of_value(graph, node.input(0));
  const Dims* weight = dims_of_value(graph, node.input(1));
  if (in == nullptr || weight == nullptr) return std::nullopt;
  return times(elements(*in), elements(*weight, 1, kNoBatch));
}

Count matmul(const Graph& graph, const Node& node) {
  const Dims* out = dims_of_value(graph, node.output(0));
  const Dims* a = dims_of_value(graph, node.input(0));
  if (out == nullptr || a == nullptr || a->empty()) return std::nullopt;
  const bool transposed = a->size() > 1 && node.attributes.int_or("transA", 0) != 0;
  return times(elements(*out), size_of((*a)[a->size() - (transposed ? 2 : 1)]));
}

Count gemm(const Graph& graph, const Node& node) { return matmul(graph, node); }

Count recurrent(const Graph& graph, const Node& node) {
  const Dims* x = dims_of_value(graph, node.input(0));
  const Dims* weight = dims_of_value(graph, node.input(1));
  const Dims* recurrence = dims_of_value(graph, node.input(2));
  if (x == nullptr || x->size() != 3 || weight == nullptr || recurrence == nullptr)
    return std::nullopt;
  const size_t batch_axis = node.attributes.int_or("layout", 0) != 0 ? 0 : 1;
  const Count steps = size_of((*x)[1 - batch_axis]);
  const Count batch = (*x)[batch_axis].known() ? size_of((*x)[batch_axis]) : Count(1);
  const Count w = elements(*weight, 0, kNoBatch);
  const Count r = elements(*recurrence, 0, kNoBatch);
  int64_t both = 0;
  if (!w || !r || __builtin_add_overflow(*w, *r, &both)) return std::nullopt;
  return times(times(steps, batch), both);
}

Count attention(const Graph& graph, const Node& node) {
  const Dims* q = dims_of_value(graph, node.input(0));
  const Dims* k = dims_of_value(graph, node.input(1));
  const Dims* v = dims_of_value(graph, node.input(2));
  if (q == nullptr || k == nullptr || v == nullptr || q->size() != k->size() ||
      q->size() != v->size() || (q->size() != 3 && q->size() != 4))
    return std::nullopt;
  const bool packed = q->size() == 3;
  const int64_t kv_heads = packed ? node.attributes.int_or("kv_num_heads", 0) : 0;
  const int64_t q_heads = packed ? node.attributes.int_or("q_num_heads", 0) : 0;
  if (packed && (kv_heads < 1 || q_heads < 1)) return std::nullopt;
  // Keys attended to: those of the past come before the new ones.
  Count keys = size_of((*k)[k->size() - 2]);
  if (node.input(4).valid()) {
    const Dims* past = dims_of_value(graph, node.input(4));
    const Count before = past != nullptr && past->size() == 4 ? size_of((*past)[2]) : std::nullopt;
    int64_t total = 0;
    if (!keys || !before || __builtin_add_overflow(*keys, *before, &total)) return std::nullopt;
    keys = total;
  }
  // Q K^T multiplies every element of Q with every key; the weights times V give Y's elements.
  Count v_size = size_of(v->back());
  if (packed && v_size) v_size = *v_size / kv_heads;
  const Count heads = packed ? Count(q_heads) : size_of((*q)[1]);
  const Count batch = (*q)[0].known() ? size_of((*q)[0]) : Count(1);
  const Count scores = times(elements(*q), keys);
  const Count sums =
      times(times(times(batch, heads), size_of((*q)[q->size() - 2])), times(v_size, keys));
  int64_t both = 0;
  if (!scores || !sums || __builtin_add_overflow(*scores, *sums, &both)) return std::nullopt;
  return both;
}

Count unknown(const Graph&, const Node&) { return std::nullopt; }

}  // namespace lathe::mac_rule

namespace lathe {

MacCount count_macs(const Graph& graph) {
  MacCount total;
  for_each_graph(graph, [&](const Graph& each) {
    for (const NodeId id : each.node_ids()) {
      const Node& node = each.node(id);
      const MacRule rule = op_row(node.kind).macs;
      if (rule == nullptr) continue;
      const std::optional<int64_t> macs = rule(each, node);
      int64_t sum = 0;
      if (!macs || __builtin_add_overflow(total.macs, *macs, &sum))
        ++total.unknown_nodes;
      else
        total.macs = sum;
    }
  });
  return total;
}

}  // namespace lathe
