// Quantization-aware training: the student stays a float graph, and what a PrecisionPlan will turn
// into integers is rounded as they would be while it trains. Afterwards the plan, with scales that
// fit what was learned, makes the same file that quantization makes:
//
//   separate_readers(graph, plan);
//   QuantizationAware aware(graph, plan, {…});
//   aware.set_hooks(trainable_options);            // then train, with aware.parameters() as
//   train_options.more_parameters = aware.parameters();  // further parameters
//   plan = aware.learned_plan(trained);
//   insert_qdq(trained, plan); eliminate_identities(trained); …
#pragma once

#include <map>
#include <string>
#include <vector>

#include "quantize/plan/precision_plan.h"
#include "train/trainable_graph.h"

namespace lathe {

struct QuantizationAwareOptions {
  /// Scales of weights are learned, from those of least squared error on. False: they follow the
  /// largest magnitude, anew in every step.
  bool learn_weights = false;
  /// Scales of activations are learned, from the calibrated ones on; zero points stay. False: they
  /// stay as calibrated.
  bool learn_activations = false;
};

/// Given:  a value of the plan that integer nodes and others read, without being made by an
///         integer node (graph inputs, too)
/// Result: an Identity between it and the plan's nodes takes its place in the plan, so that hooks,
///         which see values and not readers, round for those nodes alone
/// Returns the number of inserted nodes; eliminate_identities() takes them out again.
int separate_readers(Graph& graph, PrecisionPlan& plan);

/// The hooks and parameters of one training. Values that forward() and evaluate() see are those of
/// the integer model but for two things: biases stay float (their step is that of the products'
/// sums, far below that of any activation), and a matrix that several nodes read is rounded for all
/// of them by the first one's parameters.
class QuantizationAware {
 public:
  /// `graph`: what TrainableGraph will be made of; the plan is of its values and nodes. Throws
  /// Error (exit 3) for a plan of nothing.
  QuantizationAware(const Graph& graph, PrecisionPlan plan, QuantizationAwareOptions options = {});
  QuantizationAware(const QuantizationAware&) = delete;
  QuantizationAware& operator=(const QuantizationAware&) = delete;

  /// For TrainableOptions::on_parameter and on_activation; may be called from several threads.
  at::Tensor parameter(ValueId constant, const at::Tensor& tensor) const;
  at::Tensor activation(ValueId value, const at::Tensor& tensor) const;
  /// Sets both hooks, which refer to this object.
  void set_hooks(TrainableOptions& options) const;

  /// What is learned besides the graph's own: logarithms of scales relative to those at the start,
  /// "step/VALUE", float32, without weight decay. Empty when no scales are learned. They live as
  /// long as this object.
  std::vector<Parameter*> parameters();
  /// Their values by name, copied, and back (the best epoch's). restore() throws Error (exit 2)
  /// when they are of another model.
  std::map<std::string, Tensor> state() const;
  void restore(const std::map<std::string, Tensor>& state);

  /// The plan with scales that fit `trained` (TrainableGraph::trained() or another copy of the
  /// graph with other constants): learned and following scales of weights, learned scales of
  /// activations and of what only moves them, biases at the product of both.
  PrecisionPlan learned_plan(const Graph& trained) const;

 private:
  struct Step {
    QuantParams params;  // of the plan
    bool reduce_range = false;
    bool is_weight = false;
    double most = 0;            // largest scale that is useful; 0: any
    HeldTensor initial;         // scales at the start, where they are learned
    size_t parameter = kFixed;  // in parameters_
  };
  static constexpr size_t kFixed = static_cast<size_t>(-1);

  void learn(Step& step, const std::string& value);
  at::Tensor scale_of(const Step& step, const at::Tensor& tensor) const;
  at::Tensor rounded(const Step& step, const at::Tensor& tensor) const;
  QuantParams weight_params_of(const Tensor& weight, const WeightPlan& planned,
                               const Step& step) const;

  PrecisionPlan plan_;
  QuantizationAwareOptions options_;
  std::map<ValueId, Step> weights_;      // by constant, after separate_shared_constants()
  std::map<ValueId, Step> activations_;  // not what a moving node writes
  std::vector<Parameter> parameters_;
};

}  // namespace lathe
