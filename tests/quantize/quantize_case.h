// One small network quantized as the command does it, with every stage at hand.
#pragma once

#include <string>

#include "ir/graph.h"
#include "quantize/plan/precision_plan.h"

namespace lathe::test {

/// uint8 activations, int8 weights per channel; Conv, ConvTranspose, Gemm, MatMul, Add, Mul,
/// Concat, pooling.
IntegerRules usual_rules();

/// Reads `body` behind a header for opset 17.
Graph network(const std::string& body);

/// "{1.5, …}" of `count` seeded values between low and high; every 29th is 100 with `outliers`.
std::string values_text(int64_t count, uint64_t seed, float low, float high, bool outliers = false);

/// Normal data, the same for the same sample: mean 0.5, deviation 1 in every element.
SampleSource normal_data(const Graph& graph, size_t count);

struct QuantizeCase {
  Graph before;
  PrecisionPlan plan;
  Statistics statistics;
  Graph after;
};

/// Selects, calibrates on `samples` of normal_data, plans (minmax) and inserts; CHECKs verify().
QuantizeCase quantize_case(const std::string& body, const IntegerRules& rules = usual_rules(),
                           bool corrected = false, size_t samples = 16);

/// SQNR in dB of output `index` of `after` against `before` on fresh samples.
double sqnr_between(const Graph& before, const Graph& after, size_t index = 0);
/// Share of the first output's power that is lost, on the first samples of normal_data().
double noise_between(const Graph& before, const Graph& after, size_t samples);

/// Name of the op that makes a value; "" for graph inputs and constants.
std::string maker(const Graph& graph, ValueId value);
/// The node that makes the value of that name.
NodeId maker_of(const Graph& graph, const std::string& output);
/// The one node of a kind; REQUIREs that there is exactly one.
const Node& only(const Graph& graph, OpKind kind);
/// The plan's reason for a node's exception; "" when there is none.
std::string reason_for(const PrecisionPlan& plan, const std::string& type);
/// Type names of the nodes in the plan, in graph order, joined by blanks.
std::string planned(const Graph& graph, const PrecisionPlan& plan);
/// Names of the values that get parameters, sorted, joined by blanks.
std::string planned_values(const Graph& graph, const PrecisionPlan& plan);

}  // namespace lathe::test
