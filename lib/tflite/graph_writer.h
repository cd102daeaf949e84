// The values of a graph as tensors of a file: as real numbers, as integers, in either order.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/quantization.h"
#include "ops/activation_fusion.h"
#include "tflite/file_builder.h"

namespace lathe {

/// Of a value's dimensions: as in the graph, or with dimension 1, that of channels, at the end.
enum class Order : uint8_t { kPlain, kChannelsLast };

/// Error (exit 3) for a node that the format cannot express.
Error no_tflite_form(const std::string& reason);

/// Dimension i of a tensor in that order is dimension result[i] of the value.
std::vector<size_t> order_dims(Order order, size_t rank);

/// How an operator ends that gives its output a scale of its own: with an activation and, of
/// integers, with the QuantizeLinear that alone reads it.
struct Ending {
  ValueId value;                        // what is made
  std::optional<ScaleZeroPoint> params;  // int8; nullopt: real numbers
  tfl::Activation activation = tfl::Activation::NONE;
  std::optional<ActivationBounds> clamp;  // what no activation expresses
  std::vector<NodeId> merged;
};

class GraphWriter {
 public:
  explicit GraphWriter(const Graph& graph);

  const Graph& graph;
  FileBuilder file;
  bool keeps_halves = true;  // float16 constants, which an operator widens
  bool widens_channels = true;  // 8-bit constants with a scale a channel, the same

  /// Throws Error (exit 3) where sizes are free.
  Shape shape(ValueId value) const;
  std::string name(ValueId value) const { return graph.value(value).name; }
  bool is_done(NodeId id) const { return done_.contains(id); }

  // -- what is there -----------------------------------------------------------------------------
  /// Of a value that is held in int8, or can be (a constant).
  std::optional<ScaleZeroPoint> params(ValueId value) const;
  bool is_constant(ValueId value) const;
  bool has(ValueId value, Order order) const;
  TensorIndex real(ValueId value, Order order);
  TensorIndex integers(ValueId value, Order order);
  /// Integers where the value has them.
  TensorIndex either(ValueId value, Order order);
  /// An operand that is broadcast: constants of fewer dimensions than `rank` get ones in front.
  TensorIndex operand(ValueId value, Order order, size_t rank, bool as_integers);
  /// A constant as real numbers, in other order and shape.
  TensorIndex constant_real(ValueId value, const std::vector<size_t>& dims, Shape shape);
  /// The order that these are in, for operators that work in both.
  Order order_of(const std::vector<ValueId>& values) const;

  // -- what is made ------------------------------------------------------------------------------
  void hold_real(ValueId value, Order order, TensorIndex tensor);
  void hold_integers(ValueId value, Order order, const ScaleZeroPoint& params, TensorIndex tensor);
  /// A tensor for `value`, like another: int8 with its parameters where `params` are given.
  TensorIndex make(ValueId value, Order order, const std::optional<ScaleZeroPoint>& params);
  /// Keeps `tensor` as what make() was asked for.
  void hold(ValueId value, Order order, const std::optional<ScaleZeroPoint>& params,
            TensorIndex tensor);
  /// `integers`: by the QuantizeLinear behind `value`; nullopt where there is none.
  std::optional<Ending> ending(ValueId value, bool integers) const;
  TensorIndex open(const Ending& ending, Order order);
  void close(const Ending& ending, Order order, TensorIndex tensor);

  /// QuantizeLinear, DequantizeLinear; inputs in the order that their readers want.
  void quantize(NodeId id);
  void alias(const Node& dequantize);
  void add_input(ValueId value);
  void add_output(ValueId value);
  void note_floats(const Node& node);

  std::vector<std::string> in_floats;
  bool keeps_state = false;  // in variables, between calls
  std::vector<TensorIndex> inputs, outputs;
  std::vector<std::vector<size_t>> input_orders, output_orders;  // see TfliteFile
  /// A value of N x (C * H * W) that was flattened from channels last, with C and H * W.
  struct Flattened {
    TensorIndex real = -1, integers = -1;
    int64_t channels = 0, pixels = 0;
  };
  std::map<ValueId, Flattened> flattened;  // by root()
  ValueId root(ValueId value) const;

 private:
  struct Held {
    std::array<TensorIndex, 2> real{-1, -1};
    std::array<TensorIndex, 2> integers{-1, -1};
    std::optional<ScaleZeroPoint> params;
  };
  TensorIndex reordered(TensorIndex tensor, size_t rank, Order to, const std::string& name);

  std::map<ValueId, Held> held_;
  std::map<ValueId, ValueId> aliases_;
  std::set<NodeId> done_;
};

}  // namespace lathe
