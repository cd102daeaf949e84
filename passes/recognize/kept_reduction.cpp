#include "recognize/kept_reduction.h"

#include <algorithm>

#include "recognize/scalar_product.h"
#include "recognize/written_out.h"

namespace lathe {
namespace {

// Number of elements that are reduced to one; nullopt when not known.
std::optional<double> reduced_count(const Graph& graph, const Reduction& reduction) {
  const Dims& dims = *graph.value(reduction.of).type.dims;
  double count = 1;
  for (const int64_t axis : reduction.axes) {
    const Dim& dim = dims[static_cast<size_t>(axis)];
    if (!dim.known() || dim.size == 0) return {};
    count *= static_cast<double>(dim.size);
  }
  return count;
}

}  // namespace

std::optional<Reduction> reduction_of(const Graph& graph, ValueId value) {
  Reduction reduction;
  const ScalarProduct product = scalar_product(graph, value);
  if (product.factors.size() == 1 && product.divisors.empty()) {
    value = product.factors[0];
    reduction.scale = product.scale;
    reduction.inner = product.inner;
  }
  const NodeId id = graph.value(value).producer;
  if (!id.valid()) return {};
  const Node& node = graph.node(id);
  if (node.kind != OpKind::kReduceMean && node.kind != OpKind::kReduceSum &&
      node.kind != OpKind::kReduceMax)
    return {};
  const auto& dims = graph.value(node.inputs[0]).type.dims;
  const Tensor* axes = node.input(1).valid() ? graph.constant(node.input(1)) : nullptr;
  if (!dims || axes == nullptr || axes->numel() == 0) return {};
  reduction.kind = node.kind;
  reduction.of = node.inputs[0];
  reduction.inner.push_back(id);
  reduction.axes = axes->to_int64();
  const auto rank = static_cast<int64_t>(dims->size());
  for (int64_t& axis : reduction.axes) {
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return {};
  }
  std::sort(reduction.axes.begin(), reduction.axes.end());
  if (std::adjacent_find(reduction.axes.begin(), reduction.axes.end()) != reduction.axes.end())
    return {};
  const auto count = reduced_count(graph, reduction);
  if (reduction.kind == OpKind::kReduceSum && count &&
      is_close(graph, value, reduction.scale, 1 / *count)) {
    reduction.kind = OpKind::kReduceMean;
    reduction.scale = 1;
  }
  return reduction;
}

ValueId before_restoring(const Graph& graph, ValueId value, std::vector<NodeId>& inner) {
  const NodeId id = graph.value(value).producer;
  if (!id.valid()) return value;
  const Node& node = graph.node(id);
  if (node.kind != OpKind::kReshape && node.kind != OpKind::kUnsqueeze) return value;
  inner.push_back(id);
  return node.inputs[0];
}

bool is_kept(const Graph& graph, ValueId value, ValueId x, const std::vector<int64_t>& axes) {
  const auto& own = graph.value(value).type.dims;
  const auto& full = graph.value(x).type.dims;
  if (!own || !full || own->size() != full->size()) return false;
  int open = 0;
  for (size_t i = 0; i < own->size(); ++i) {
    if (std::binary_search(axes.begin(), axes.end(), static_cast<int64_t>(i))) {
      if ((*own)[i].size != 1) return false;
    } else if (!is_same_dim((*own)[i], (*full)[i])) {
      if ((*own)[i].known() && (*full)[i].known()) return false;
      // One unproven dimension is settled by the number of elements.
      ++open;
    }
  }
  return open <= 1;
}

bool are_last_axes(const Graph& graph, ValueId x, const std::vector<int64_t>& axes) {
  const auto& dims = graph.value(x).type.dims;
  return dims && !axes.empty() && axes.back() == static_cast<int64_t>(dims->size()) - 1 &&
         axes.back() - axes.front() == static_cast<int64_t>(axes.size()) - 1;
}

}  // namespace lathe
