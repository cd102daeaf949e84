// A float network run with autograd from every place that is rounded: g . e of each, e the error
// that rounding makes there and g the gradient of the outputs by what is there.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "evaluate/held_tensor.h"
#include "ir/graph.h"
#include "quantize/plan/precision_plan.h"
#include "quantize/sensitivity/node_alone.h"
#include "quantize/sensitivity/rounding_sums.h"
#include "run/interpreter.h"
#include "run/sample_runner.h"

namespace lathe {

struct SeenError {
  double gradient_squared = 0;  // (g . e)^2, mean of the probes
  /// The same of rounded elements as if their errors were independent: far less left to chance.
  double independent_squared = 0;
  double error = 0;      // sum of e^2
  double power = 0;      // sum of x^2
  bool reached = false;  // the outputs depend on it differentiably
};

struct SampleErrors {
  /// As WatchedRun::values(), and again for each of the other parameters; or as its nodes.
  std::vector<SeenError> values;
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
  /// Parameters of values, in place of a plan's.
  using OtherParams = std::map<ValueId, QuantParams>;

  /// Runs `reference`; errors of weights and biases are those of `rounded` behind insert_qdq().
  /// Values are seen with each of `others`, too.
  WatchedRun(const Graph& reference, const Graph& rounded, const PrecisionPlan& plan,
             const std::vector<OtherParams>& others = {});

  /// Runs `reference`. The error of a node is that of its float outputs (of all of them together)
  /// when its quantized form, each in the list, is given what the node reads in `reference`:
  /// against `reference`, or against NodeAlone::against. Beyond float16's range it counts as 65504.
  WatchedRun(const Graph& reference, const std::vector<NodeAlone>& quantized);

  /// The reference; its ids are valid here.
  const Graph& graph() const { return interpreter_->graph(); }
  /// Values of the plan that are rounded: those that a moving node passes on are rounded before.
  /// Without a plan: none.
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
    HeldTensor value;
    HeldTensor error;
  };
  /// A quantized node, ready to run.
  struct Alone {
    std::vector<ValueId> inputs;   // of the reference
    std::vector<ValueId> outputs;  // as the quantized form's
    std::unique_ptr<Interpreter> quantized;
    std::unique_ptr<Interpreter> against;  // absent: the reference
  };
  /// What a run keeps for the quantized nodes.
  struct Seen {
    std::map<ValueId, RuntimeValue> read;
    std::vector<std::vector<RuntimeValue>> made;  // as alone_; empty: not run yet
    std::vector<std::vector<RuntimeValue>> against;
  };
  /// Of each of a value's places; `gradient`: of the value, null where there is none.
  using SumError = std::function<RoundingSums(const at::Tensor* gradient)>;
  std::map<size_t, SumError> errors_of(ValueId id, const at::Tensor& value,
                                       const WatchOptions& options, Seen& seen) const;
  at::Tensor error_alone(ValueId id, size_t place, const at::Tensor& value,
                         const WatchOptions& options, Seen& seen) const;
  void watch_value(const PrecisionPlan& plan, ValueId id, bool read_by_all, Graph& watched);
  void watch_constant(Graph& watched, NodeId node, size_t input, const at::Tensor& rounded);

  std::vector<ValueId> values_;
  std::map<ValueId, size_t> watch_;  // value of the interpreter's graph -> its first place
  size_t places_ = 0;                // values_ times params_, else alone_
  std::vector<std::vector<QuantParams>> params_;  // the plan's and the others, each as values_
  std::vector<Alone> alone_;
  std::set<ValueId> read_alone_;
  std::vector<std::vector<Constant>> weights_;  // of a node: weight, and bias where it has one
  std::vector<double> output_weight_;
  std::unique_ptr<Interpreter> interpreter_;
};

}  // namespace lathe
