#include "prune/slice_range.h"

#include <algorithm>

#include "prune/size_operands.h"

namespace lathe {
namespace {

std::optional<int64_t> clamped(int64_t index, int64_t size) {
  if (size < 0) return std::nullopt;
  if (index < 0) index += size;
  return std::clamp<int64_t>(index, 0, size);
}

}  // namespace

std::optional<std::map<int64_t, SliceRange>> slice_ranges(const Graph& graph, const Node& node) {
  const ValueId data = node.input(0);
  if (!data.valid() || !graph.value(data).type.dims) return std::nullopt;
  const Dims& dims = *graph.value(data).type.dims;
  const auto rank = static_cast<int64_t>(dims.size());
  const auto starts = integer_elements(graph, node.input(1));
  const auto ends = integer_elements(graph, node.input(2));
  if (!starts || !ends || starts->size() != ends->size()) return std::nullopt;
  std::vector<int64_t> axes;
  for (size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<int64_t>(i));
  std::vector<int64_t> steps(starts->size(), 1);
  if (node.input(3).valid()) {
    const auto given = integer_elements(graph, node.input(3));
    if (!given) return std::nullopt;
    axes = *given;
  }
  if (node.input(4).valid()) {
    const auto given = integer_elements(graph, node.input(4));
    if (!given) return std::nullopt;
    steps = *given;
  }
  if (axes.size() != starts->size() || steps.size() != starts->size()) return std::nullopt;
  std::map<int64_t, SliceRange> ranges;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < 0 || axis >= rank || ranges.contains(axis)) return std::nullopt;
    const int64_t size = dims[static_cast<size_t>(axis)].size;
    SliceRange range;
    range.step = steps[i];
    range.begin = clamped((*starts)[i], size).value_or(-1);
    range.end = clamped((*ends)[i], size).value_or(-1);
    const bool to_end = size >= 0 ? range.end == size : (*ends)[i] >= INT32_MAX;
    range.whole = range.step == 1 && (*starts)[i] == 0 && to_end;
    ranges[axis] = range;
  }
  return ranges;
}

}  // namespace lathe
