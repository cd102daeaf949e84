#include <algorithm>
#include <map>
#include <optional>

#include "graph/graph_passes.h"

namespace lathe {
namespace {

// Integers of rank 0 or 1, as far as they are known.
struct Numbers {
  bool scalar = false;
  std::vector<std::optional<int64_t>> elements;
};

// More elements than this are no shape.
constexpr size_t kMaxNumbers = 256;

// A start or end of a slice, counted from the front.
int64_t bound(int64_t at, int64_t count) {
  return std::clamp<int64_t>(at < 0 ? at + count : at, 0, count);
}

class ShapeChains {
 public:
  explicit ShapeChains(const Graph& graph) : graph_(graph) {}

  /// What the node gives; nullopt when it is no link of a chain. Producers must come first.
  std::optional<Numbers> link(const Node& node) const {
    switch (node.kind) {
      case OpKind::kShape: return shape(node);
      case OpKind::kGather: return gather(node);
      case OpKind::kSlice: return slice(node);
      case OpKind::kConcat: return concat(node);
      case OpKind::kSqueeze: return squeeze(node);
      case OpKind::kUnsqueeze: return unsqueeze(node);
      default: return {};
    }
  }
  void remember(ValueId id, Numbers numbers) { known_[id] = std::move(numbers); }

 private:
  std::optional<std::vector<int64_t>> constant(ValueId id) const {
    const Tensor* tensor = graph_.constant(id);
    if (tensor == nullptr || tensor->rank() > 1 || !is_integer(tensor->dtype()) ||
        static_cast<size_t>(tensor->numel()) > kMaxNumbers)
      return {};
    return tensor->to_int64();
  }

  std::optional<Numbers> numbers(ValueId id) const {
    if (!id.valid()) return {};
    if (const auto at = known_.find(id); at != known_.end()) return at->second;
    const auto given = constant(id);
    if (!given || graph_.constant(id)->dtype() != DType::kInt64) return {};
    return Numbers{graph_.constant(id)->rank() == 0, {given->begin(), given->end()}};
  }

  std::optional<Numbers> shape(const Node& node) const {
    const auto& dims = graph_.value(node.inputs[0]).type.dims;
    if (!dims || graph_.is_output(node.inputs[0])) return {};
    const auto rank = static_cast<int64_t>(dims->size());
    const int64_t start = bound(node.attributes.int_or("start", 0), rank);
    const int64_t end = bound(node.attributes.int_or("end", rank), rank);
    Numbers result;
    for (int64_t i = start; i < end; ++i) {
      const Dim& dim = (*dims)[static_cast<size_t>(i)];
      result.elements.push_back(dim.known() ? std::optional(dim.size) : std::nullopt);
    }
    return result;
  }

  std::optional<Numbers> gather(const Node& node) const {
    const auto data = numbers(node.input(0));
    const auto indices = constant(node.input(1));
    if (!data || data->scalar || !indices) return {};
    const auto count = static_cast<int64_t>(data->elements.size());
    Numbers result{graph_.constant(node.input(1))->rank() == 0, {}};
    for (int64_t index : *indices) {
      if (index < 0) index += count;
      if (index < 0 || index >= count) return {};
      result.elements.push_back(data->elements[static_cast<size_t>(index)]);
    }
    return result;
  }

  std::optional<Numbers> slice(const Node& node) const {
    const auto data = numbers(node.input(0));
    const auto starts = constant(node.input(1));
    const auto ends = constant(node.input(2));
    if (!data || data->scalar || !starts || !ends) return {};
    if (starts->size() != 1 || ends->size() != 1) return {};
    if (node.input(4).valid()) {
      const auto steps = constant(node.input(4));
      if (!steps || *steps != std::vector<int64_t>{1}) return {};
    }
    const auto count = static_cast<int64_t>(data->elements.size());
    Numbers result;
    const int64_t end = bound((*ends)[0], count);
    for (int64_t i = bound((*starts)[0], count); i < end; ++i)
      result.elements.push_back(data->elements[static_cast<size_t>(i)]);
    return result;
  }

  std::optional<Numbers> concat(const Node& node) const {
    Numbers result;
    for (const ValueId input : node.inputs) {
      const auto part = numbers(input);
      // An unknown part of known length still counts its elements.
      const auto& dims = graph_.value(input).type.dims;
      if (part && !part->scalar) {
        result.elements.insert(result.elements.end(), part->elements.begin(), part->elements.end());
      } else if (dims && dims->size() == 1 && (*dims)[0].known() &&
                 (*dims)[0].size <= static_cast<int64_t>(kMaxNumbers)) {
        result.elements.resize(result.elements.size() + static_cast<size_t>((*dims)[0].size));
      } else {
        return {};
      }
      if (result.elements.size() > kMaxNumbers) return {};
    }
    return result;
  }

  std::optional<Numbers> squeeze(const Node& node) const {
    auto data = numbers(node.input(0));
    if (!data || data->scalar || data->elements.size() != 1) return {};
    data->scalar = true;
    return data;
  }

  std::optional<Numbers> unsqueeze(const Node& node) const {
    auto data = numbers(node.input(0));
    const auto axes = constant(node.input(1));
    if (!data || !data->scalar || !axes || axes->size() != 1) return {};
    data->scalar = false;
    return data;
  }

  const Graph& graph_;
  std::map<ValueId, Numbers> known_;
};

// The constant, when all is known and the node selects (Shape itself is fold_constants' work).
std::optional<Tensor> folded(const Graph& graph, const Node& node, const Numbers& numbers) {
  if (node.kind != OpKind::kGather && node.kind != OpKind::kSlice) return {};
  if (graph.constant(node.inputs[0]) != nullptr || graph.is_output(node.outputs[0]) ||
      graph.value(node.outputs[0]).users.empty())
    return {};
  std::vector<int64_t> values;
  for (const auto& element : numbers.elements) {
    if (!element) return {};
    values.push_back(*element);
  }
  return numbers.scalar ? Tensor::scalar(values[0]) : Tensor::vector(values);
}

}  // namespace

int fold_shape_chains(Graph& graph) {
  int changes = 0;
  ShapeChains chains(graph);
  for (const NodeId id : graph.order()) {
    for (Subgraph& subgraph : graph.edit(id).subgraphs)
      changes += fold_shape_chains(subgraph.graph());
    const Node& node = graph.node(id);
    if (node.outputs.empty() || !node.outputs[0].valid()) continue;
    auto numbers = chains.link(node);
    if (!numbers) continue;
    if (const auto constant = folded(graph, node, *numbers)) {
      const std::string name = graph.fresh_name(graph.value(node.outputs[0]).name + "_folded");
      graph.replace_all_uses(node.outputs[0], graph.add_constant(name, *constant));
      graph.erase_node(id);
      ++changes;
      continue;
    }
    chains.remember(node.outputs[0], std::move(*numbers));
  }
  return changes;
}

}  // namespace lathe
