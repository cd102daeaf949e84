// Runs a quantized graph with the arithmetic of a device, so that its accuracy there is known
// before shipping. Made for RunOptions::compute.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "quantize/plan/saturation.h"
#include "run/interpreter.h"

namespace lathe {

/// What became of one layer's pair sums.
struct PairSumRow {
  std::string node;
  std::string node_type;
  SaturationBound bound;
  bool simulated = true;  // false: a form that cannot be counted; computed exactly
  SaturationCount count;
};

/// Integer convolutions and products whose neighbours' products are added in saturating 16 bits
/// (quantize/plan/saturation.h). Of the graph's top level: Conv, Gemm and MatMul between
/// DequantizeLinear nodes of 8-bit inputs and constant int8 weights, ConvInteger, MatMulInteger,
/// QLinearConv, QLinearMatMul, QGemm, MatMulIntegerToFloat and DynamicQuantizeMatMul. All else is
/// computed as ever, with exact integer sums.
class PairSumArithmetic {
 public:
  /// Copies what it needs of the graph.
  explicit PairSumArithmetic(const Graph& graph);

  /// As RunOptions::compute, of an Interpreter of the same graph; from several threads at once.
  std::optional<std::vector<RuntimeValue>> compute(const Node& node,
                                                   const std::vector<RuntimeValue>& inputs) const;

  /// The layers with int8 weights in the graph's order, with what was counted so far.
  std::vector<PairSumRow> rows() const;

 private:
  struct Layer {
    PairLayer pairs;
    SaturationBound bound;
    std::string node;
    std::string node_type;
    // Of a layer between DequantizeLinear nodes: its input's and weights' parameters.
    float input_scale = 0;  // 0: an operator on integers
    float input_zero = 0;
    float input_shift = 0;  // 128 for int8
    std::vector<float> scales;
  };

  std::vector<RuntimeValue> dequantized_product(const Layer& layer, const Node& node,
                                                const std::vector<RuntimeValue>& inputs,
                                                SaturationCount& count) const;
  std::vector<RuntimeValue> integer_product(const Layer& layer, const Node& node,
                                            const std::vector<RuntimeValue>& inputs,
                                            SaturationCount& count) const;

  std::vector<Layer> layers_;
  std::map<ValueId, size_t> by_output_;
  mutable std::mutex mutex_;
  mutable std::vector<SaturationCount> counts_;
};

/// Values that keep a device without multiplications for rescaling from running the graph:
/// 8-bit QuantizeLinear and DequantizeLinear nodes whose scale is no power of two or whose zero
/// point is not 0. Names of at most `limit` nodes; empty: it can run.
std::vector<std::string> not_power_of_two(const Graph& graph, size_t limit);

/// As RunOptions::compute: QuantizeLinear rounds halves up, as ESP-DL on ESP32 and ESP32-S3 does
/// (ONNX: to even). nullopt for every other node, and for scales and zero points per channel.
std::optional<std::vector<RuntimeValue>> round_half_up(const Node& node,
                                                       const std::vector<RuntimeValue>& inputs);

}  // namespace lathe
