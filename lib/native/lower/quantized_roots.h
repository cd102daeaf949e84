// Which values of a QDQ graph are a function of one quantized value's elements: everything between
// is a table of 256 entries, whatever it computes.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"
#include "qdq/qdq.h"

namespace lathe {

/// An 8-bit value: the output of a QuantizeLinear with constant parameters for the whole array.
/// Scale and zero point as uint8 (int8 is shifted by 128).
struct QuantizedArray {
  ScaleZeroPoint params;
  DType type = DType::kUInt8;  // in the graph
};

class QuantizedRoots {
 public:
  explicit QuantizedRoots(const Graph& graph);

  /// How the graph quantizes `id` (the output of a QuantizeLinear); nullopt: it does not.
  const std::optional<QuantizedArray>& quantized(ValueId id) const {
    return quantized_[static_cast<size_t>(id.index)];
  }
  /// The quantized value that `id` is an elementwise function of; itself when it is quantized and
  /// no function of another; invalid when there is none.
  ValueId root(ValueId id) const { return roots_[static_cast<size_t>(id.index)]; }
  /// The QuantizeLinear that alone reads `value` (with `through_clamp` behind a Relu or Clip) and
  /// makes a root; nullopt: none does.
  std::optional<QuantizedTail> root_behind(const Graph& graph, ValueId value,
                                           bool through_clamp = false) const;
  /// The values with this root that a node which is no such function reads, or that are graph
  /// outputs, in the graph's order: what has to exist.
  const std::vector<ValueId>& demanded(ValueId root) const {
    return demanded_[static_cast<size_t>(root.index)];
  }
  /// The node is one of those functions (or a QuantizeLinear or DequantizeLinear among them): it
  /// is computed where its result is demanded.
  bool is_function(NodeId id) const { return functions_[static_cast<size_t>(id.index)]; }

  /// Nodes that lead from `root` to `id`, in order.
  std::vector<NodeId> path(const Graph& graph, ValueId root, ValueId id) const;

 private:
  std::vector<std::optional<QuantizedArray>> quantized_;
  std::vector<ValueId> roots_;
  std::vector<std::vector<ValueId>> demanded_;
  std::vector<bool> functions_;
};

}  // namespace lathe
