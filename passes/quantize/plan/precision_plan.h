// Which nodes and values of a graph become integers, with which parameters, and why not the others.
// Planning reads the graph; insert_qdq() edits it. The plan is plain data and goes into the report.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "calibration/calibrate.h"
#include "calibration/choose_range.h"
#include "ir/graph.h"
#include "ir/quantization.h"
#include "ops/activation_fusion.h"

namespace lathe {

/// What the device can do, as far as planning needs it (made from a Profile and the flags).
struct IntegerRules {
  DType activation_dtype = DType::kUInt8;
  bool activation_symmetric = false;
  DType weight_dtype = DType::kInt8;
  bool weight_per_channel = true;
  /// One bit less for weights: devices whose int8 products add up in saturating 16 bits.
  bool weight_reduce_range = false;
  /// Only constant weights are stored as integers; arithmetic, activations and biases stay float.
  /// Planning needs no statistics then.
  bool weight_only = false;
  /// Op kinds that may run in integers.
  std::set<OpKind> ops;
  /// Data movement ops that the device executes on integers as they are.
  std::set<OpKind> moves;
  /// Integer products whose results may stay float, where only float nodes read them.
  std::set<OpKind> float_outputs{OpKind::kGemm, OpKind::kMatMul};
  /// nullopt-like: empty = every node. False: the node stays float ("excluded by name").
  std::function<bool(const Node&)> selected;
  /// Products of neighbours are added in saturating 16 bits (quantize/plan/saturation.h): where
  /// that can happen, a channel's int8 weights get up to one bit less.
  bool pair_sums_saturate = false;
  /// Scales are powers of two (quantize/plan/power_of_two.h).
  bool power_of_two = false;
};

/// How a node takes part.
enum class QuantRole : uint8_t {
  kCompute,  // Conv, ConvTranspose, Gemm, MatMul: integer arithmetic is the reason for all this
  kFollow,   // Add, Concat, pooling, …: integer because what they read is
  kMove,     // Reshape, MaxPool, …: passes integers through with their parameters
};

struct WeightPlan {
  NodeId node;
  size_t input = 1;
  QuantParams params;
  bool reduce_range = false;  // one bit less than the type has
};

struct PlanException {
  std::string node;
  std::string node_type;
  std::string reason;
};

struct PrecisionPlan {
  std::map<NodeId, QuantRole> nodes;
  std::set<OpKind> float_outputs;  // of the rules
  /// Activation values that get QuantizeLinear and DequantizeLinear.
  std::map<ValueId, QuantParams> values;
  std::map<ValueId, ChosenRange>
      ranges;  // how `values` came about; not for values that were passed on
  std::vector<WeightPlan> weights;
  std::vector<WeightPlan> biases;  // int32, scale = scale of input x scale of weight
  std::vector<PlanException> exceptions;
};

/// Roles of all nodes and the reasons of those left out; `values` holds every activation that needs
/// parameters, still without them. No statistics needed: this says what to calibrate.
PrecisionPlan select_nodes(const Graph& graph, const IntegerRules& rules);

/// What must be known of the selection's activations: ranges of the values that get parameters,
/// channel means of what integer convolutions and products with constant weights read.
CalibrationTargets calibration_targets(const Graph& graph, const PrecisionPlan& selection);

/// How the ranges of all values are chosen.
struct RangeRules {
  RangeRules(Observer observer) : usual{observer} {}

  RangeRule usual;                      // of all values but
  std::map<ValueId, RangeRule> others;  // these

  const RangeRule& at(ValueId value) const {
    const auto it = others.find(value);
    return it == others.end() ? usual : it->second;
  }
};

/// Gives what nodes that only move integers put out their input's parameters.
void pass_on_params(const Graph& graph, PrecisionPlan& plan);

/// Fills the activations' parameters of a selection, and how they came about. Throws Error (exit 3)
/// for values that the statistics do not hold.
void plan_values(const Graph& graph, const IntegerRules& rules, PrecisionPlan& plan,
                 const Statistics& statistics, const RangeRules& ranges);

/// plan_values(), and the parameters of weights and biases. Throws Error (exit 3) besides for NaN
/// or infinite weights.
PrecisionPlan plan_precision(const Graph& graph, const IntegerRules& rules, PrecisionPlan selection,
                             const Statistics& statistics, const RangeRules& ranges);

/// Given:  Conv | Gemm (W, b) whose W will be rounded to W8 by the plan
/// Result: b - (W8 - W) E[x]: rounding shifts every output channel's mean, and the bias takes it
/// back (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
/// 2019, section 4.2, with E[x] measured). Changes biases only; returns how many nodes.
int correct_bias(Graph& graph, PrecisionPlan& plan, const Statistics& statistics);

/// Given:  x -> Conv(W, b) -> Relu -> y, all of it in the plan
/// Result: x -> Q -> DQ -> Conv(DQ(W8), DQ(b32)) -> Relu -> Q -> DQ -> y
/// Given:  x -> MatMul(W) -> Add(b), b one number a channel, the product read by nothing else
/// Result: x -> Q -> DQ -> MatMul(DQ(W8)) -> Add(DQ(b32))
/// A plan without activations: x -> Conv(DQ(W8), b) -> Relu -> y. Returns the number of inserted
/// nodes.
int insert_qdq(Graph& graph, const PrecisionPlan& plan);

/// Whether insert_qdq() lets everybody read the dequantized value, float nodes and graph outputs
/// too: it comes out of an integer node. Other values of the plan are dequantized for the plan's
/// nodes alone.
bool is_dequantized_for_all(const Graph& graph, const PrecisionPlan& plan, ValueId value);

/// Lowers the scale of an activation behind a Clip so far that the integers' range ends within the
/// Clip's bound, where it exceeds it by a share of at most `reach`: runtimes then drop the Clip.
void fit_inside_bounds(const Graph& graph, ValueId value, QuantParams& params, float reach = 1e-4f);

/// A tensor of float32.
bool is_float32(const Graph& graph, ValueId id);

/// The value after the node's fused activation (a Relu or Clip that alone reads the node's output),
/// or the node's own output.
ValueId fused_output(const Graph& graph, NodeId node);

}  // namespace lathe
