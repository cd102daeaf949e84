#include "train/trainable_graph.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "passes/passes.h"
#include "train/bfloat16.h"

namespace lathe {
namespace {

// Autograd refuses tensors that were made under InferenceMode, and what shares the bytes of a
// constant must not be written to.
at::Tensor trainable_copy(const Tensor& constant, bool channels_last) {
  at::Tensor copy = to_runtime(constant).tensor;
  if (copy.scalar_type() != at::kDouble) copy = copy.to(at::kFloat);
  copy = copy.clone(channels_last && copy.dim() == 4 ? at::MemoryFormat::ChannelsLast
                                                     : at::MemoryFormat::Contiguous);
  return copy;
}

void load(at::Tensor target, const Tensor& source) {
  const at::NoGradGuard no_gradient;
  target.copy_(to_runtime(source).tensor);
}

bool is_plain_batch_norm(const Node& node) {
  return node.kind == OpKind::kBatchNormalization && node.outputs.size() == 1;
}

// BatchNormalization in training mode, with its moved averages as values of their own.
std::array<ValueId, 2> train_batch_norm(Graph& graph, NodeId id) {
  Node node = graph.node(id);
  const ValueId old = node.outputs[0];
  node.attributes.set("training_mode", int64_t{1});
  const auto like = [&](ValueId value) {
    return graph.add_value(graph.fresh_name(graph.value(value).name), graph.value(value).type);
  };
  node.outputs = {like(old), like(node.inputs[3]), like(node.inputs[4])};
  const std::vector<ValueId> outputs = node.outputs;
  graph.add_node(std::move(node));
  graph.replace_all_uses(old, outputs[0]);
  graph.erase_node(id);
  return {outputs[1], outputs[2]};
}

// As losses want them: half types widened.
std::vector<at::Tensor> plain_outputs(const std::vector<RuntimeValue>& values) {
  std::vector<at::Tensor> outputs;
  for (const RuntimeValue& output : values) {
    if (!output.is_tensor())
      throw bad_input("train.output", "an output is no tensor of numbers", {},
                      "train on values that are");
    outputs.push_back(is_floating(output.dtype) && output.dtype != DType::kFloat64
                          ? output.tensor->to(at::kFloat)
                          : *output.tensor);
  }
  return outputs;
}

}  // namespace

void Parameter::set_mask(const at::Tensor& kept) {
  removed = at::Tensor();
  if (!kept.defined()) return;
  if (kept.sizes() != tensor->sizes())
    throw InternalError("the mask of " + name + " has another shape");
  const at::NoGradGuard no_gradient;
  removed = kept.eq(0);
  tensor->masked_fill_(*removed, 0);
}

Tensor state_tensor(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.detach().contiguous();
  return to_tensor({plain, plain.scalar_type() == at::kDouble ? DType::kFloat64 : DType::kFloat32});
}

Parameter make_parameter(std::string name, const at::Tensor& initial) {
  Parameter parameter;
  parameter.name = std::move(name);
  parameter.tensor = initial.detach().clone().set_requires_grad(true);
  parameter.dtype =
      parameter.tensor->scalar_type() == at::kDouble ? DType::kFloat64 : DType::kFloat32;
  return parameter;
}

ValueId logits_of(const Graph& graph, ValueId output) {
  const NodeId producer = graph.value(output).producer;
  if (!producer.valid()) return output;
  const Node& node = graph.node(producer);
  if (node.kind != OpKind::kSoftmax) return output;
  const auto& dims = graph.value(output).type.dims;
  const int64_t rank = dims ? static_cast<int64_t>(dims->size()) : 2;
  const int64_t axis = node.attributes.int_or("axis", -1);
  // Losses have their classes on axis 1.
  return (axis < 0 ? axis + rank : axis) == 1 ? node.inputs[0] : output;
}

TrainableGraph::TrainableGraph(Graph graph, TrainableOptions options)
    : graph_(std::move(graph)), options_(std::move(options)) {
  separate_shared_constants(graph_);
  if (options_.outputs.empty()) options_.outputs = graph_.outputs();
  for (const ParameterUse& use : find_parameters(graph_)) {
    if (options_.trains && !options_.trains(use)) continue;
    const Value& value = graph_.value(use.constant);
    Parameter parameter =
        make_parameter(value.name, trainable_copy(*value.constant, options_.channels_last));
    parameter.value = use.constant;
    parameter.role = use.role;
    parameter.dtype = value.constant->dtype();
    if (!at::isfinite(parameter.tensor).all().item<bool>())
      throw bad_input("train.not_finite", "a parameter holds NaN or infinity",
                      escape_untrusted(value.name), "such a model cannot be trained");
    parameters_.push_back(std::move(parameter));
  }
  if (parameters_.empty())
    throw bad_input("train.no_parameters", "the model has no parameters to train", {},
                    "parameters are float weights; a quantized model is to be trained before it "
                    "is quantized");

  Graph inference = graph_;
  inference.set_outputs(options_.outputs);
  eliminate_dead_nodes(inference);
  Graph training = inference;
  std::vector<ValueId> moved;
  for (const NodeId id : inference.node_ids()) {
    const Node node = inference.node(id);
    if (options_.freeze_batch_norm || !is_plain_batch_norm(node)) continue;
    const bool stored_averages =
        graph_.constant(node.input(3)) != nullptr && graph_.constant(node.input(4)) != nullptr;
    if (!stored_averages) continue;
    const auto outputs = train_batch_norm(training, id);
    for (size_t i = 0; i < 2; ++i) {
      const Tensor& constant = *graph_.constant(node.inputs[3 + i]);
      const at::Tensor average = trainable_copy(constant, false);
      averages_.push_back({node.inputs[3 + i], average, average, constant.dtype()});
      moved.push_back(outputs[i]);
    }
  }
  std::vector<ValueId> outputs = training.outputs();
  outputs.insert(outputs.end(), moved.begin(), moved.end());
  training.set_outputs(outputs);
  if (options_.checkpoint_activations)
    checkpointed_ = std::make_unique<CheckpointedRun>(training);
  else
    training_ = std::make_unique<Interpreter>(std::move(training));
  inference_ = std::make_unique<Interpreter>(std::move(inference));
}

Parameter* TrainableGraph::find(ValueId constant) {
  for (Parameter& parameter : parameters_)
    if (parameter.value == constant) return &parameter;
  return nullptr;
}

std::vector<RuntimeValue> TrainableGraph::constants(const Graph& part, bool training) const {
  std::vector<RuntimeValue> values;
  const auto put = [&](ValueId id, const at::Tensor& tensor, DType dtype) {
    const auto slot = static_cast<size_t>(id.index);
    if (values.size() <= slot) values.resize(slot + 1);
    values[slot] = {tensor.to(storage_type(dtype)), dtype};
  };
  for (const Parameter& parameter : parameters_)
    if (part.is_live(parameter.value))
      put(parameter.value,
          options_.on_parameter ? options_.on_parameter(parameter.value, parameter.tensor)
                                : *parameter.tensor,
          parameter.dtype);
  for (const Average& average : averages_)
    if (part.is_live(average.value))
      put(average.value, training ? average.moved : average.kept, average.dtype);
  return values;
}

std::optional<std::vector<RuntimeValue>> TrainableGraph::batch_norm(
    const Node& node, const std::vector<RuntimeValue>& inputs) const {
  const bool trains = node.attributes.int_or("training_mode", 0) != 0;
  if (node.kind != OpKind::kBatchNormalization || !trains) return std::nullopt;
  std::vector<at::Tensor> tensors;
  for (const RuntimeValue& input : inputs) tensors.push_back(input.tensor);
  std::vector<RuntimeValue> results;
  for (at::Tensor& result : options_.batch_norm(node, tensors))
    results.emplace_back(std::move(result), inputs[0].dtype);
  return results;
}

PreparedRun TrainableGraph::prepare(const Graph& part, bool training, bool watch,
                                    const ForwardOptions& options) const {
  PreparedRun prepared;
  prepared.constants = constants(part, training);
  RunOptions& run = prepared.options;
  run.gradients = true;
  run.check = options.check;
  // Copies: backward runs a segment after the caller's options are gone.
  const auto on_value = watch ? options.on_value : nullptr;
  // A backward run of large layers takes long: it can be stopped between nodes, too. Not in a run
  // whose activations are forgotten, which is not differentiated.
  const auto check = training && !(checkpointed_ && watch) ? options.check : nullptr;
  if (on_value || options_.on_activation || check)
    run.on_value = [this, &part, on_value, check](ValueId id, RuntimeValue& value) {
      if (!value.is_tensor()) return;
      if (options_.on_activation && value.tensor->is_floating_point())
        value.tensor = options_.on_activation(id, value.tensor);
      if (on_value) on_value(part.node(part.value(id).producer).name, value.tensor);
      // A leaf would keep the hook.
      if (check && value.tensor->requires_grad() && !value.tensor->is_leaf())
        value.tensor->register_hook([check](const at::Tensor&) { check(); });
    };
  if (training && (options_.batch_norm || options_.bfloat16))
    run.compute = [this](const Node& node, const std::vector<RuntimeValue>& inputs)
        -> std::optional<std::vector<RuntimeValue>> {
      if (options_.batch_norm)
        if (auto results = batch_norm(node, inputs)) return results;
      return options_.bfloat16 ? compute_in_bfloat16(node, inputs) : std::nullopt;
    };
  return prepared;
}

std::vector<RuntimeValue> TrainableGraph::given_inputs(
    const Graph& graph, const std::vector<at::Tensor>& inputs) const {
  if (inputs.size() != graph.inputs().size())
    throw bad_input("train.inputs", fmt::format("{} inputs were given, the model has {}",
                                                inputs.size(), graph.inputs().size()));
  std::vector<RuntimeValue> given;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const DType dtype = graph.value(graph.inputs()[i]).type.dtype;
    at::Tensor input = inputs[i].to(storage_type(dtype));
    if (options_.channels_last && input.dim() == 4)
      input = input.contiguous(at::MemoryFormat::ChannelsLast);
    if (options_.on_activation && input.is_floating_point())
      input = options_.on_activation(graph.inputs()[i], input);
    given.emplace_back(std::move(input), dtype);
  }
  return given;
}

std::vector<at::Tensor> TrainableGraph::forward(const std::vector<at::Tensor>& inputs,
                                                const ForwardOptions& options) {
  const at::AutoGradMode gradients(true);
  std::vector<RuntimeValue> given = given_inputs(graph_, inputs);
  std::vector<at::Tensor> outputs;
  if (checkpointed_) {
    const ForwardOptions kept = options;
    outputs = plain_outputs(
        checkpointed_->run(std::move(given), [this, kept](const Graph& part, bool again) {
          return prepare(part, /*training=*/true, /*watch=*/!again, kept);
        }));
  } else {
    PreparedRun prepared = prepare(training_->graph(), true, true, options);
    prepared.options.constants = prepared.constants;
    outputs = plain_outputs(training_->run(std::move(given), prepared.options));
  }
  for (size_t i = 0; i < averages_.size(); ++i)
    averages_[i].moved = outputs[options_.outputs.size() + i].detach();
  outputs.resize(options_.outputs.size());
  return outputs;
}

std::vector<at::Tensor> TrainableGraph::evaluate(const std::vector<at::Tensor>& inputs,
                                                 const ForwardOptions& options) const {
  const at::NoGradGuard no_gradient;
  PreparedRun prepared = prepare(inference_->graph(), false, true, options);
  prepared.options.constants = prepared.constants;
  return plain_outputs(inference_->run(given_inputs(graph_, inputs), prepared.options));
}

void TrainableGraph::keep_statistics() {
  for (Average& average : averages_) average.kept = average.moved;
}

void TrainableGraph::drop_statistics() {
  for (Average& average : averages_) average.moved = average.kept;
}

std::vector<std::pair<std::string, at::Tensor>> TrainableGraph::averages() const {
  std::vector<std::pair<std::string, at::Tensor>> all;
  for (const Average& average : averages_)
    all.emplace_back("average/" + graph_.value(average.value).name, average.kept);
  return all;
}

Graph TrainableGraph::trained() const {
  Graph result = graph_;
  const auto put = [&](ValueId id, const at::Tensor& tensor, DType dtype) {
    const at::Tensor plain = tensor.detach().contiguous().to(storage_type(dtype));
    result.set_constant(id, to_tensor({plain, dtype}));
  };
  for (const Parameter& parameter : parameters_)
    put(parameter.value, parameter.tensor, parameter.dtype);
  for (const Average& average : averages_) put(average.value, average.kept, average.dtype);
  return result;
}

std::map<std::string, Tensor> TrainableGraph::state() const {
  std::map<std::string, Tensor> state;
  for (const Parameter& parameter : parameters_)
    state["parameter/" + parameter.name] = state_tensor(parameter.tensor);
  for (const Average& average : averages_)
    state["average/" + graph_.value(average.value).name] = state_tensor(average.kept);
  return state;
}

void TrainableGraph::restore(const std::map<std::string, Tensor>& state) {
  const auto take = [&](const std::string& name, const at::Tensor& target) {
    const Tensor like = state_tensor(target);
    const auto found = state.find(name);
    if (found == state.end() || found->second.dtype() != like.dtype() ||
        found->second.shape() != like.shape())
      throw bad_usage("train.checkpoint_model", "the saved state is of another model",
                      escape_untrusted(name), "start anew");
    load(target, found->second);
  };
  for (Parameter& parameter : parameters_) take("parameter/" + parameter.name, parameter.tensor);
  for (Average& average : averages_) {
    // kept and moved may be one tensor.
    average.kept = average.kept->clone();
    take("average/" + graph_.value(average.value).name, average.kept);
    average.moved = average.kept;
  }
}

}  // namespace lathe
