#include "distill/quantization_aware.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "distill/fake_quantize.h"
#include "ir/error.h"
#include "quantize/plan/weight_params.h"

namespace lathe {
namespace {

FakeQuantization grid_of(const QuantParams& params, bool weight, bool reduce_range) {
  FakeQuantization how;
  how.axis = params.axis;
  const int32_t zero_point = params.zero_points.at(0);
  how.low = static_cast<int32_t>(integer_min(params.dtype)) - zero_point;
  how.high = static_cast<int32_t>(integer_max(params.dtype)) - zero_point;
  if (!weight) return how;
  how.high = weight_qmax(params.dtype, reduce_range);
  how.low = is_signed_integer(params.dtype) ? -how.high : 0;
  return how;
}

at::Tensor scales_tensor(const QuantParams& params) {
  const at::Tensor scales = at::tensor(params.scales, at::kFloat);
  return params.axis < 0 ? scales.reshape({}) : scales;
}

std::vector<float> values_of(const at::Tensor& scales) {
  const at::Tensor plain = scales.detach().to(at::kFloat).contiguous();
  return {plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel()};
}

/// Shares of the largest magnitude, one a scale, whose rounding has the least squared error.
at::Tensor closest_scales(const at::Tensor& weight, const QuantParams& params,
                          const FakeQuantization& how) {
  constexpr double kLeastShare = 0.25;
  constexpr double kStep = 0.025;
  const at::Tensor widest = scales_tensor(params);
  std::vector<int64_t> others;
  for (int64_t i = 0; i < weight.dim(); ++i)
    if (i != how.axis) others.push_back(i);
  at::Tensor best = widest;
  at::Tensor least;
  for (double share = 1; share > kLeastShare; share -= kStep) {
    const at::Tensor scales = widest * share;
    at::Tensor error = at::square(fake_quantize(weight, scales, how) - weight);
    error = how.axis < 0     ? at::sum(error, at::kDouble)
            : others.empty() ? error.to(at::kDouble)
                             : at::sum(error, others, false, at::kDouble);
    best = least.defined() ? at::where(error.lt(least), scales, best) : scales;
    least = least.defined() ? at::minimum(error, least) : error;
  }
  return best;
}

/// The largest scale at which a Clip before the value still holds all integers; 0: any.
double useful_scale(const Graph& graph, ValueId value, const QuantParams& params) {
  constexpr float kHuge = 1e30F;
  QuantParams widest = params;
  widest.scales = {kHuge};
  fit_inside_bounds(graph, value, widest, std::numeric_limits<float>::infinity());
  return widest.scales[0] < kHuge ? widest.scales[0] : 0;
}

bool is_written_by_move(const Graph& graph, const PrecisionPlan& plan, ValueId value) {
  const auto node = plan.nodes.find(graph.value(value).producer);
  return node != plan.nodes.end() && node->second == QuantRole::kMove;
}

}  // namespace

int separate_readers(Graph& graph, PrecisionPlan& plan) {
  const std::map<ValueId, QuantParams> values = plan.values;
  int inserted = 0;
  for (const auto& [id, params] : values) {
    if (is_dequantized_for_all(graph, plan, id)) continue;
    const std::vector<NodeId> users = graph.value(id).users;
    const auto is_planned = [&](NodeId user) { return plan.nodes.contains(user); };
    if (!graph.is_output(id) && std::all_of(users.begin(), users.end(), is_planned)) continue;
    const ValueType type = graph.value(id).type;
    const ValueId copy = graph.add_op(OpKind::kIdentity, {id},
                                      graph.fresh_name(graph.value(id).name + "_for_integers"));
    graph.edit_type(copy) = type;
    for (const NodeId user : users)
      for (size_t i = 0; is_planned(user) && i < graph.node(user).inputs.size(); ++i)
        if (graph.node(user).inputs[i] == id) graph.replace_input(user, i, copy);
    plan.values[copy] = params;
    plan.values.erase(id);
    if (auto range = plan.ranges.extract(id); !range.empty()) {
      range.key() = copy;
      plan.ranges.insert(std::move(range));
    }
    ++inserted;
  }
  return inserted;
}

QuantizationAware::QuantizationAware(const Graph& graph, PrecisionPlan plan,
                                     QuantizationAwareOptions options)
    : plan_(std::move(plan)), options_(options) {
  if (plan_.weights.empty() && plan_.values.empty())
    throw bad_input("distill.nothing_quantized", "no node of the student can become integer", {},
                    "leave out --quantization-aware, or choose another student");
  Graph separated = graph;  // as TrainableGraph does it, with the same ids
  separate_shared_constants(separated);
  for (const WeightPlan& weight : plan_.weights) {
    const ValueId constant = separated.node(weight.node).inputs.at(weight.input);
    if (weights_.contains(constant)) continue;
    Step step{weight.params, weight.reduce_range, true};
    if (options_.learn_weights) {
      const FakeQuantization how = grid_of(step.params, true, step.reduce_range);
      const at::Tensor values = to_runtime(*separated.constant(constant)).tensor;
      step.initial = closest_scales(values, step.params, how);
      learn(step, separated.value(constant).name);
    }
    weights_.emplace(constant, std::move(step));
  }
  for (const auto& [id, params] : plan_.values) {
    // A second rounding with the same parameters would change nothing.
    if (is_written_by_move(separated, plan_, id)) continue;
    Step step{params};
    if (options_.learn_activations) {
      step.initial = scales_tensor(params);
      step.most = useful_scale(separated, id, params);
      learn(step, separated.value(id).name);
    }
    activations_.emplace(id, std::move(step));
  }
}

void QuantizationAware::learn(Step& step, const std::string& value) {
  Parameter parameter = make_parameter("step/" + value, at::zeros_like(step.initial));
  parameter.role = ParameterRole::kScale;
  parameter.decays = false;
  step.parameter = parameters_.size();
  parameters_.push_back(std::move(parameter));
}

at::Tensor QuantizationAware::scale_of(const Step& step, const at::Tensor& tensor) const {
  if (step.parameter != kFixed)
    return learned_scale(parameters_[step.parameter].tensor, step.initial, step.most);
  if (!step.is_weight) return scales_tensor(step.params);
  return following_scale(tensor, weight_qmax(step.params.dtype, step.reduce_range),
                         step.params.axis);
}

at::Tensor QuantizationAware::rounded(const Step& step, const at::Tensor& tensor) const {
  FakeQuantization how = grid_of(step.params, step.is_weight, step.reduce_range);
  how.stop_beyond = !step.is_weight || step.parameter != kFixed;
  // Elements of one sample: the factor must not depend on how a batch is divided.
  const int64_t sharing = step.is_weight     ? static_cast<int64_t>(step.params.scales.size())
                          : tensor.dim() > 0 ? tensor.size(0)
                                             : 1;
  how.step_gradient = step_gradient_factor(tensor.numel() / std::max<int64_t>(1, sharing), how);
  return fake_quantize(tensor, scale_of(step, tensor), how);
}

at::Tensor QuantizationAware::parameter(ValueId constant, const at::Tensor& tensor) const {
  const auto step = weights_.find(constant);
  return step == weights_.end() ? tensor : rounded(step->second, tensor);
}

at::Tensor QuantizationAware::activation(ValueId value, const at::Tensor& tensor) const {
  const auto step = activations_.find(value);
  return step == activations_.end() ? tensor : rounded(step->second, tensor);
}

void QuantizationAware::set_hooks(TrainableOptions& options) const {
  options.on_parameter = [this](ValueId constant, const at::Tensor& tensor) {
    return parameter(constant, tensor);
  };
  options.on_activation = nullptr;
  if (!activations_.empty())
    options.on_activation = [this](ValueId value, const at::Tensor& tensor) {
      return activation(value, tensor);
    };
}

std::vector<Parameter*> QuantizationAware::parameters() {
  std::vector<Parameter*> all;
  for (Parameter& parameter : parameters_) all.push_back(&parameter);
  return all;
}

std::map<std::string, Tensor> QuantizationAware::state() const {
  std::map<std::string, Tensor> state;
  for (const Parameter& parameter : parameters_)
    state[parameter.name] = to_tensor({parameter.tensor->detach().contiguous(), DType::kFloat32});
  return state;
}

void QuantizationAware::restore(const std::map<std::string, Tensor>& state) {
  const at::NoGradGuard no_gradient;
  for (Parameter& parameter : parameters_) {
    const auto found = state.find(parameter.name);
    if (found == state.end() || found->second.dtype() != DType::kFloat32 ||
        found->second.shape() != parameter.tensor->sizes().vec())
      throw bad_usage("train.checkpoint_model", "the saved state is of another model",
                      escape_untrusted(parameter.name), "start anew");
    parameter.tensor->copy_(to_runtime(found->second).tensor);
  }
}

QuantParams QuantizationAware::weight_params_of(const Tensor& weight, const WeightPlan& planned,
                                                const Step& step) const {
  const QuantParams& params = planned.params;
  if (step.parameter == kFixed || step.params.axis != params.axis ||
      step.params.dtype != params.dtype || step.reduce_range != planned.reduce_range)
    return weight_params(weight, params.dtype, params.axis, planned.reduce_range);
  QuantParams learned = params;
  learned.scales = values_of(scale_of(step, {}));
  return learned;
}

PrecisionPlan QuantizationAware::learned_plan(const Graph& trained) const {
  const at::NoGradGuard no_gradient;
  PrecisionPlan plan = plan_;
  for (const auto& [id, step] : activations_) {
    if (step.parameter == kFixed) continue;
    QuantParams& params = plan.values.at(id);
    params.scales = values_of(scale_of(step, {}));
    // No observer chose this range.
    plan.ranges.erase(id);
  }
  for (const NodeId id : trained.order()) {
    const auto node = plan.nodes.find(id);
    if (node == plan.nodes.end() || node->second != QuantRole::kMove) continue;
    for (const ValueId output : trained.node(id).outputs)
      if (plan.values.contains(output))
        plan.values.at(output) = plan.values.at(trained.node(id).inputs[0]);
  }
  Graph separated = trained;
  separate_shared_constants(separated);
  for (WeightPlan& weight : plan.weights) {
    const Node& node = separated.node(weight.node);
    const ValueId constant = node.inputs.at(weight.input);
    weight.params = weight_params_of(*separated.constant(constant), weight, weights_.at(constant));
    for (WeightPlan& bias : plan.biases) {
      if (bias.node != weight.node) continue;
      const float input_scale = plan.values.at(node.inputs[0]).scales[0];
      widen_for_bias(weight.params, *separated.constant(node.inputs.at(bias.input)), input_scale);
      bias.params = bias_params(weight.params, input_scale);
    }
  }
  return plan;
}

}  // namespace lathe
