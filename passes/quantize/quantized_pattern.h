// Reading DequantizeLinear -> op -> QuantizeLinear out of a graph.
#pragma once

#include <optional>

#include "ir/graph.h"

namespace lathe {

/// An 8-bit value with its constant parameters.
struct QuantizedValue {
  ValueId integers;
  ValueId scale;
  ValueId zero_point;  // invalid: zeros
  DType dtype = DType::kUInt8;
  int64_t axis = -1;  // of the scales; -1: one for all
};

/// What DequantizeLinear makes `value` of: int8, uint8 or, for biases, int32; no blocks.
/// nullopt when `value` is something else.
std::optional<QuantizedValue> dequantized_from(const Graph& graph, ValueId value);

/// The zero points; zeros are added to the graph where there are none.
ValueId zero_point_of(Graph& graph, const QuantizedValue& value);
/// Whether all zero points are 0.
bool is_symmetric(const Graph& graph, const QuantizedValue& value);

/// How a node's result becomes 8 bits again, with one scale for all.
struct QuantizedResult {
  NodeId quantize;
  NodeId activation;     // invalid: none
  QuantizedValue value;  // integers: the QuantizeLinear's output
};

/// The QuantizeLinear that alone reads the node's only output, behind at most one Relu or Clip that
/// the integers' own range makes idle. nullopt where something else reads it, or the activation
/// does something.
std::optional<QuantizedResult> quantized_result(const Graph& graph, NodeId node);

/// The same integers stand for the same numbers.
bool same_parameters(const Graph& graph, const QuantizedValue& a, const QuantizedValue& b);

}  // namespace lathe
