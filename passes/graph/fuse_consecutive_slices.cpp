#include <algorithm>
#include <map>

#include "graph/graph_passes.h"

namespace lathe {
namespace {

struct Cut {
  int64_t start = 0;
  int64_t end = 0;
  int64_t step = 1;
};

using Cuts = std::map<int64_t, Cut>;  // by axis

std::optional<std::vector<int64_t>> ints(const Graph& graph, ValueId id) {
  const Tensor* tensor = graph.constant(id);
  if (tensor == nullptr || !is_integer(tensor->dtype()) || tensor->rank() != 1) return {};
  return tensor->to_int64();
}

std::optional<Cuts> cuts_of(const Graph& graph, const Node& node) {
  if (node.kind != OpKind::kSlice) return {};
  const auto& dims = graph.value(node.inputs[0]).type.dims;
  const auto starts = ints(graph, node.input(1));
  const auto ends = ints(graph, node.input(2));
  if (!dims || !starts || !ends || starts->size() != ends->size()) return {};
  std::vector<int64_t> axes;
  for (size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<int64_t>(i));
  std::vector<int64_t> steps(starts->size(), 1);
  for (const size_t input : {size_t{3}, size_t{4}}) {
    if (!node.input(input).valid()) continue;
    const auto given = ints(graph, node.input(input));
    if (!given || given->size() != starts->size()) return {};
    (input == 3 ? axes : steps) = *given;
  }
  Cuts cuts;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto rank = static_cast<int64_t>(dims->size());
    const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    const Cut cut{(*starts)[i], (*ends)[i], steps[i]};
    if (axis < 0 || axis >= rank || !cuts.emplace(axis, cut).second) return {};
  }
  return cuts;
}

// Start, end and step on an axis of `size` with 0 <= start <= end <= size; forwards only.
std::optional<Cut> bounded(const Cut& cut, int64_t size) {
  if (cut.step <= 0) return {};
  const auto place = [size](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  };
  const int64_t start = place(cut.start);
  return Cut{start, std::max(start, place(cut.end)), std::min(cut.step, size + 1)};
}

// Both cuts of one axis of `size` as one.
std::optional<Cut> both(const Cut& first, const Cut& second, int64_t size) {
  const auto outer = bounded(first, size);
  if (!outer) return {};
  const int64_t left = (outer->end - outer->start + outer->step - 1) / outer->step;
  const auto inner = bounded(second, left);
  if (!inner) return {};
  const int64_t count = (inner->end - inner->start + inner->step - 1) / inner->step;
  Cut cut{outer->start + inner->start * outer->step, 0, 1};
  if (__builtin_mul_overflow(outer->step, inner->step, &cut.step)) return {};
  cut.end = count == 0 ? cut.start : cut.start + (count - 1) * cut.step + 1;
  return cut;
}

std::optional<Cuts> combined(const Cuts& first, const Cuts& second, const Dims& source) {
  Cuts cuts = first;
  for (const auto& [axis, cut] : second) {
    const auto [at, fresh] = cuts.emplace(axis, cut);
    if (fresh) continue;
    const Dim& dim = source[static_cast<size_t>(axis)];
    const auto merged = dim.known() ? both(at->second, cut, dim.size) : std::nullopt;
    if (!merged) return {};
    at->second = *merged;
  }
  return cuts;
}

void set_cuts(Graph& graph, NodeId id, ValueId source, const Cuts& cuts) {
  std::vector<int64_t> columns[4];
  for (const auto& [axis, cut] : cuts) {
    const int64_t row[] = {cut.start, cut.end, axis, cut.step};
    for (size_t i = 0; i < 4; ++i) columns[i].push_back(row[i]);
  }
  const std::string stem = graph.value(graph.node(id).outputs[0]).name;
  const char* names[] = {"_starts", "_ends", "_axes", "_steps"};
  graph.truncate_inputs(id, 1);
  graph.replace_input(id, 0, source);
  for (size_t i = 0; i < 4; ++i)
    graph.add_node_input(id, graph.add_constant(graph.fresh_name(stem + names[i]),
                                                Tensor::vector<int64_t>(columns[i])));
}

// Only when every reader takes the first Slice in: else it would stay.
int fuse_into_readers(Graph& graph, NodeId id) {
  const auto first = cuts_of(graph, graph.node(id));
  if (!first) return 0;
  const ValueId middle = graph.node(id).outputs[0];
  const ValueId source = graph.node(id).inputs[0];
  const std::vector<NodeId> readers = graph.value(middle).users;
  if (readers.empty() || graph.is_output(middle)) return 0;
  std::vector<Cuts> results;
  for (const NodeId reader : readers) {
    const auto second = cuts_of(graph, graph.node(reader));
    if (!second) return 0;
    auto cuts = combined(*first, *second, *graph.value(source).type.dims);
    if (!cuts) return 0;
    results.push_back(std::move(*cuts));
  }
  for (size_t i = 0; i < readers.size(); ++i) set_cuts(graph, readers[i], source, results[i]);
  graph.erase_node(id);
  return 1;
}

}  // namespace

int fuse_consecutive_slices(Graph& graph) {
  int changes = 0;
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fuse_consecutive_slices(subgraph.graph());
    changes += fuse_into_readers(graph, id);
  }
  return changes;
}

}  // namespace lathe
