// A graph whose parameters are tensors that autograd differentiates: the interpreter runs it, and
// what was learned is written back.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "evaluate/held_tensor.h"
#include "ir/graph.h"
#include "run/interpreter.h"
#include "train/checkpointed_run.h"
#include "train/parameters.h"

namespace lathe {

struct Parameter {
  ValueId value;     // constant of TrainableGraph::graph(); invalid for one that a loss brings
  std::string name;  // of the value; unique in a run
  ParameterRole role = ParameterRole::kWeight;
  DType dtype = DType::kFloat32;  // as the graph stores it; half types train in float32
  HeldTensor tensor;              // a leaf that requires a gradient, float32 or float64
  HeldTensor removed;             // bool, true where the parameter must stay 0; undefined: nowhere
  bool decays = true;             // weight decay applies, as to all parameters in PyTorch

  /// What is not 0 stays, everything else remains exactly 0 (also in the optimizer's state).
  /// `kept`: same shape, 0 or false where removed; undefined lifts the mask.
  void set_mask(const at::Tensor& kept);
};

/// A parameter that is no constant of the graph (a projection, a step size), for TrainOptions.
Parameter make_parameter(std::string name, const at::Tensor& initial);

/// A tensor of the state of training as files hold it: float64 where it is that, else float32.
Tensor state_tensor(const at::Tensor& tensor);

struct TrainableOptions {
  /// BatchNormalization uses and keeps its stored averages; otherwise it normalises with the
  /// batch's statistics and moves the averages (node attribute momentum, ONNX's running average
  /// with the batch's population variance).
  bool freeze_batch_norm = false;
  /// 4-D weights and inputs lie channels-last in memory; numerically another order of summation.
  bool channels_last = false;
  /// Training keeps few activations and computes the others anew while it differentiates: less
  /// memory for a third to a half more time (checkpointed_run.h). on_activation and batch_norm see
  /// a value up to twice in a step, with the same numbers.
  bool checkpoint_activations = false;
  /// Products of training (not of evaluate()) in bfloat16; everything else stays float32
  /// (bfloat16.h).
  bool bfloat16 = false;
  /// What forward() returns, in order: any values of the graph (logits, features). Empty: the
  /// graph's outputs. Nodes that none of them needs are not run.
  std::vector<ValueId> outputs;
  /// Parameters to train, of find_parameters(); empty function: all of them.
  std::function<bool(const ParameterUse&)> trains;
  /// What nodes read in place of a parameter, and of a float value (graph inputs, too), in training
  /// and at inference: fake quantization. Differentiable, the same shape.
  std::function<at::Tensor(ValueId constant, const at::Tensor& parameter)> on_parameter;
  std::function<at::Tensor(ValueId value, const at::Tensor& tensor)> on_activation;
  /// Computes BatchNormalization in training mode in place of its evaluate function: output, moved
  /// mean, moved variance (statistics over many processes).
  std::function<std::vector<at::Tensor>(const Node&, const std::vector<at::Tensor>& inputs)>
      batch_norm;
};

struct ForwardOptions {
  std::function<void()> check;  // called between nodes; throws to stop
  /// Sees every produced value with the name of its node, in order of execution.
  std::function<void(const std::string& node, const at::Tensor&)> on_value;
};

/// Value of the class scores before a final Softmax (its input), else `output` itself: what losses
/// want as logits. Log-probabilities serve as logits unchanged.
ValueId logits_of(const Graph& graph, ValueId output);

class TrainableGraph {
 public:
  /// The graph is copied; shared vectors are separated (separate_shared_constants). Throws Error
  /// (exit 3) for an op that lathe cannot run, when there is nothing to train, and for a parameter
  /// with NaN or infinity.
  explicit TrainableGraph(Graph graph, TrainableOptions options = {});

  /// The graph with separated constants and their first values; ids of nodes and values are those
  /// of the graph that was given.
  const Graph& graph() const { return graph_; }
  /// What forward() returns.
  const std::vector<ValueId>& outputs() const { return options_.outputs; }
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// nullptr when the constant is not trained.
  Parameter* find(ValueId constant);

  /// One tensor per graph input, in storage types. Training mode, with autograd on; results
  /// depend on the parameters. The graph must stay where it is until they are differentiated, and
  /// `options.check` callable: both serve backward, too. The moved averages of BatchNormalization
  /// wait for keep_statistics().
  std::vector<at::Tensor> forward(const std::vector<at::Tensor>& inputs,
                                  const ForwardOptions& options = {});
  /// Takes over, or forgets, the averages that forward() moved since the last call of either.
  void keep_statistics();
  void drop_statistics();

  /// The same outputs as at inference, without autograd. May be called from several threads.
  std::vector<at::Tensor> evaluate(const std::vector<at::Tensor>& inputs,
                                   const ForwardOptions& options = {}) const;

  /// The averages of BatchNormalization after the last complete step, under the names that they
  /// have in state(); not copied.
  std::vector<std::pair<std::string, at::Tensor>> averages() const;

  /// The given graph with what was learned.
  Graph trained() const;

  /// Parameters ("parameter/NAME") and averages ("average/NAME"), copied. restore() throws Error
  /// (exit 2) when they are of another model.
  std::map<std::string, Tensor> state() const;
  void restore(const std::map<std::string, Tensor>& state);

 private:
  struct Average {
    ValueId value;     // constant of graph_
    HeldTensor kept;   // after the last complete step
    HeldTensor moved;  // after the last forward()
    DType dtype = DType::kFloat32;
  };

  /// For `part` of the graph, which names what it needs.
  std::vector<RuntimeValue> constants(const Graph& part, bool training) const;
  std::optional<std::vector<RuntimeValue>> batch_norm(
      const Node& node, const std::vector<RuntimeValue>& inputs) const;
  /// `watch`: the caller's on_value is called.
  PreparedRun prepare(const Graph& part, bool training, bool watch,
                      const ForwardOptions& options) const;
  std::vector<RuntimeValue> given_inputs(const Graph& graph,
                                         const std::vector<at::Tensor>& inputs) const;

  Graph graph_;
  TrainableOptions options_;
  std::vector<Parameter> parameters_;
  std::vector<Average> averages_;
  // Averages follow the outputs. One of the two.
  std::unique_ptr<Interpreter> training_;
  std::unique_ptr<CheckpointedRun> checkpointed_;
  std::unique_ptr<Interpreter> inference_;
};

}  // namespace lathe
