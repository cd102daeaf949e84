#include "prune/size_readers.h"

#include <algorithm>

#include "prune/axis_segments.h"
#include "prune/size_operands.h"
#include "prune/slice_range.h"

namespace lathe {
namespace {

bool computes_sizes(OpKind kind) {
  switch (kind) {
    case OpKind::kAdd:
    case OpKind::kCast:
    case OpKind::kConcat:
    case OpKind::kDiv:
    case OpKind::kGather:
    case OpKind::kIdentity:
    case OpKind::kMul:
    case OpKind::kReduceProd:
    case OpKind::kReshape:
    case OpKind::kSlice:
    case OpKind::kSqueeze:
    case OpKind::kSub:
    case OpKind::kUnsqueeze: return true;
    default: return false;
  }
}

bool can_be_written(const Graph& graph, const Node& reshape) {
  const ValueId from = reshape.input(0);
  const ValueId to = reshape.output(0);
  if (!from.valid() || !to.valid()) return false;
  const auto& from_dims = graph.value(from).type.dims;
  const auto& to_dims = graph.value(to).type.dims;
  return from_dims && to_dims &&
         reshape_target(*from_dims, *to_dims, reshape.attributes.int_or("allowzero", 0) == 0);
}

}  // namespace

std::optional<std::set<NodeId>> reshape_readers(const Graph& graph, ValueId value) {
  std::set<NodeId> found;
  std::set<ValueId> seen{value};
  std::vector<ValueId> open{value};
  while (!open.empty()) {
    const ValueId next = open.back();
    open.pop_back();
    if (graph.is_output(next)) return std::nullopt;
    for (const NodeId user : graph.value(next).users) {
      const Node& node = graph.node(user);
      if (!node.subgraphs.empty()) return std::nullopt;
      if (node.kind == OpKind::kReshape && node.input(1) == next && node.input(0) != next) {
        if (!can_be_written(graph, node)) return std::nullopt;
        found.insert(user);
        continue;
      }
      // Indices of a Gather and bounds of a Slice are numbers, not sizes.
      const bool selects = node.kind == OpKind::kGather || node.kind == OpKind::kSlice;
      if (!computes_sizes(node.kind) || (selects && node.input(0) != next)) return std::nullopt;
      if (std::count(node.inputs.begin(), node.inputs.end(), next) > 1 && selects)
        return std::nullopt;
      for (const ValueId output : node.outputs)
        if (output.valid() && seen.insert(output).second) open.push_back(output);
    }
  }
  return found;
}

std::vector<bool> read_sizes(const Graph& graph, const Node& node, int64_t rank) {
  std::vector<bool> reads(static_cast<size_t>(rank), false);
  const ValueId output = node.output(0);
  if (!output.valid()) return reads;
  const auto bound = [&](int64_t index) {
    return std::clamp<int64_t>(index < 0 ? index + rank : index, 0, rank);
  };
  const int64_t start = bound(node.attributes.int_or("start", 0));
  const int64_t end = bound(node.attributes.int_or("end", rank));
  const auto read = [&](int64_t index) {
    if (index < 0) index += end - start;
    if (index >= 0 && start + index < end) reads[static_cast<size_t>(start + index)] = true;
  };
  const auto read_all = [&] {
    for (int64_t axis = start; axis < end; ++axis) reads[static_cast<size_t>(axis)] = true;
  };
  if (reshape_readers(graph, output)) return reads;
  if (graph.is_output(output)) read_all();
  for (const NodeId user : graph.value(output).users) {
    const Node& reader = graph.node(user);
    const bool first = reader.input(0) == output && reader.input(1) != output;
    if (first && computes_sizes(reader.kind) && reader.output(0).valid() &&
        reshape_readers(graph, reader.output(0)))
      continue;
    const auto indices = integer_elements(graph, reader.input(1));
    if (first && reader.kind == OpKind::kGather && indices) {
      for (const int64_t index : *indices) read(index);
      continue;
    }
    const auto ranges =
        first && reader.kind == OpKind::kSlice ? slice_ranges(graph, reader) : std::nullopt;
    const auto range = ranges ? ranges->find(0) : std::map<int64_t, SliceRange>::const_iterator{};
    if (!ranges || range == ranges->end() || !range->second.known() || range->second.step < 1) {
      read_all();
      continue;
    }
    for (int64_t i = range->second.begin; i < range->second.end; ++i)
      if ((i - range->second.begin) % range->second.step == 0) read(i);
  }
  return reads;
}

std::optional<SizeElement> size_element(const Graph& graph, ValueId operand, size_t index) {
  if (const auto values = integer_elements(graph, operand)) {
    if (index >= values->size()) return std::nullopt;
    return SizeElement{{}, 0, index, (*values)[index]};
  }
  const NodeId by = operand.valid() ? graph.value(operand).producer : NodeId{};
  if (!by.valid() || graph.node(by).kind != OpKind::kConcat) return std::nullopt;
  const Node& concat = graph.node(by);
  for (size_t part = 0; part < concat.inputs.size(); ++part) {
    const auto& dims = graph.value(concat.inputs[part]).type.dims;
    if (!dims || dims->size() != 1 || !dims->front().known()) return std::nullopt;
    const auto length = static_cast<size_t>(dims->front().size);
    if (index >= length) {
      index -= length;
      continue;
    }
    const auto values = integer_elements(graph, concat.inputs[part]);
    if (!values) return std::nullopt;
    return SizeElement{by, part, index, (*values)[index]};
  }
  return std::nullopt;
}

}  // namespace lathe
