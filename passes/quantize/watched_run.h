// A float network run with autograd from every place that a plan rounds: at each place t . e is
// added, e the error that rounding makes there and t = 0, so that the derivative by t is g . e.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "ir/graph.h"
#include "quantize/precision_plan.h"
#include "run/interpreter.h"
#include "run/sample_runner.h"

namespace lathe {

struct SeenError {
  double gradient_squared = 0;  // (g . e)^2, mean of the probes
  double error = 0;             // sum of e^2
  double power = 0;             // sum of x^2
  bool reached = false;         // the outputs depend on it differentiably
};

struct SampleErrors {
  std::vector<SeenError> values;   // as WatchedRun::values()
  std::vector<SeenError> weights;  // as PrecisionPlan::weights
  double output_power = 0;         // of the float outputs, each times its squared weight
  std::set<NodeId> stops;          // nodes without derivative that depend on a watched place
};

struct WatchOptions {
  int probes = 2;  // 0: without autograd, errors alone
  uint64_t seed = 0;
  size_t sample = 0;  // chooses the random signs, with the seed
  std::function<void()> check;
};

class WatchedRun {
 public:
  /// Runs `reference`; errors of weights and biases are those of `rounded` behind insert_qdq().
  WatchedRun(const Graph& reference, const Graph& rounded, const PrecisionPlan& plan);

  /// The reference; its ids are valid here.
  const Graph& graph() const { return interpreter_->graph(); }
  /// Values of the plan that are rounded: those that a moving node passes on are rounded before.
  const std::vector<ValueId>& values() const { return values_; }

  /// Outputs of equal weight, whatever their size: from the mean power of the first samples. Not
  /// called: all weigh 1.
  void weigh_outputs(const SampleSource& source, const SampleRunOptions& options);

  /// Returns the outputs. May be called from several threads at once.
  std::vector<RuntimeValue> run(const std::vector<RuntimeValue>& inputs,
                                const WatchOptions& options, SampleErrors& errors) const;

  /// Values of the given graph from which a path to the outputs leads through one of the nodes.
  std::set<ValueId> values_before(const std::set<NodeId>& nodes) const;

 private:
  struct Constant {
    ValueId id;
    at::Tensor value;
    at::Tensor error;
  };
  void watch_value(const PrecisionPlan& plan, ValueId id, bool read_by_all, Graph& watched);
  void watch_constant(Graph& watched, NodeId node, size_t input, const at::Tensor& rounded);

  std::vector<ValueId> values_;
  std::map<ValueId, size_t> watch_;  // value of the interpreter's graph -> index into values_
  std::vector<QuantParams> params_;  // as values_
  std::vector<std::vector<Constant>> weights_;  // of a node: weight, and bias where it has one
  std::vector<double> output_weight_;
  std::unique_ptr<Interpreter> interpreter_;
};

}  // namespace lathe
