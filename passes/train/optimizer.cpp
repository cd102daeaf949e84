#include "train/optimizer.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>

#include "ir/error.h"
#include "run/runtime_value.h"

namespace lathe {
namespace {

using Kind = OptimizerOptions::Kind;

void require(bool ok, std::string_view what, double value) {
  if (!ok)
    throw bad_usage("train.optimizer", fmt::format("{} of {} makes no sense", what, value), {},
                    "see PyTorch's ranges: momentum and betas are within 0..1, 1 excluded");
}

}  // namespace

std::optional<Kind> optimizer_from_name(std::string_view name) {
  for (const Kind kind : {Kind::kSgd, Kind::kAdam, Kind::kAdamW})
    if (optimizer_name(kind) == name) return kind;
  return std::nullopt;
}

std::string_view optimizer_name(Kind kind) {
  switch (kind) {
    case Kind::kSgd: return "sgd";
    case Kind::kAdam: return "adam";
    case Kind::kAdamW: return "adamw";
  }
  return "";
}

void check_optimizer(const OptimizerOptions& options) {
  const auto share = [](double value) { return value >= 0 && value < 1; };
  require(share(options.momentum), "a momentum", options.momentum);
  require(share(options.beta1), "beta1", options.beta1);
  require(share(options.beta2), "beta2", options.beta2);
  require(options.epsilon > 0 && std::isfinite(options.epsilon), "epsilon", options.epsilon);
  require(options.weight_decay >= 0 && std::isfinite(options.weight_decay), "a weight decay",
          options.weight_decay);
  if (options.kind == Kind::kSgd && options.nesterov)
    require(options.momentum > 0, "Nesterov's momentum", options.momentum);
}

double gradient_norm(const Parameters& parameters) {
  const at::NoGradGuard no_gradient;
  double sum = 0;
  for (Parameter* parameter : parameters) {
    at::Tensor gradient = parameter->tensor->grad();
    if (!gradient.defined()) continue;
    if (parameter->removed->defined()) gradient.masked_fill_(parameter->removed, 0);
    const double norm = at::norm(gradient).item<double>();
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

void clip_gradients(const Parameters& parameters, double norm, double max_norm) {
  const double factor = max_norm / (norm + 1e-6);
  if (factor >= 1) return;
  const at::NoGradGuard no_gradient;
  for (Parameter* parameter : parameters)
    if (at::Tensor gradient = parameter->tensor->grad(); gradient.defined()) gradient.mul_(factor);
}

void drop_gradients(const Parameters& parameters) {
  for (Parameter* parameter : parameters) parameter->tensor->mutable_grad() = at::Tensor();
}

Optimizer::Optimizer(OptimizerOptions options, Parameters parameters)
    : options_(options), parameters_(std::move(parameters)), moments_(parameters_.size()) {
  check_optimizer(options_);
}

void Optimizer::step(double learning_rate) {
  const at::NoGradGuard no_gradient;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& parameter = *parameters_[i];
    if (!parameter.tensor->grad().defined()) continue;
    Moments& moments = moments_[i];
    ++moments.steps;
    if (options_.kind == Kind::kSgd)
      step_sgd(parameter, moments, learning_rate);
    else
      step_adam(parameter, moments, learning_rate);
    if (!parameter.removed->defined()) continue;
    parameter.tensor->masked_fill_(parameter.removed, 0);
    if (moments.first->defined()) moments.first->masked_fill_(parameter.removed, 0);
    if (moments.second->defined()) moments.second->masked_fill_(parameter.removed, 0);
  }
}

void Optimizer::step_sgd(Parameter& parameter, Moments& moments, double learning_rate) const {
  at::Tensor gradient = parameter.tensor->grad();
  if (parameter.decays && options_.weight_decay != 0)
    gradient = gradient.add(parameter.tensor->detach(), options_.weight_decay);
  if (options_.momentum != 0) {
    if (!moments.first->defined())
      moments.first = gradient.clone();
    else
      moments.first->mul_(options_.momentum).add_(gradient);
    gradient = options_.nesterov ? gradient.add(moments.first, options_.momentum) : *moments.first;
  }
  parameter.tensor->add_(gradient, -learning_rate);
}

// Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015; AdamW: Loshchilov and Hutter,
// "Decoupled Weight Decay Regularization", 2019.
void Optimizer::step_adam(Parameter& parameter, Moments& moments, double learning_rate) const {
  at::Tensor gradient = parameter.tensor->grad();
  if (parameter.decays && options_.weight_decay != 0) {
    if (options_.kind == Kind::kAdamW)
      parameter.tensor->mul_(1 - learning_rate * options_.weight_decay);
    else
      gradient = gradient.add(parameter.tensor->detach(), options_.weight_decay);
  }
  if (!moments.first->defined()) {
    moments.first = at::zeros_like(gradient);
    moments.second = at::zeros_like(gradient);
  }
  moments.first->mul_(options_.beta1).add_(gradient, 1 - options_.beta1);
  moments.second->mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
  const auto steps = static_cast<double>(moments.steps);
  const double correction1 = 1 - std::pow(options_.beta1, steps);
  const double correction2 = std::sqrt(1 - std::pow(options_.beta2, steps));
  const at::Tensor denominator = moments.second->sqrt().div_(correction2).add_(options_.epsilon);
  parameter.tensor->addcdiv_(moments.first, denominator, -learning_rate / correction1);
}

std::map<std::string, Tensor> Optimizer::state() const {
  std::map<std::string, Tensor> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Moments& moments = moments_[i];
    const std::string& name = parameters_[i]->name;
    state["optimizer/steps/" + name] = Tensor::scalar<int64_t>(moments.steps);
    if (moments.first->defined()) state["optimizer/first/" + name] = state_tensor(moments.first);
    if (moments.second->defined()) state["optimizer/second/" + name] = state_tensor(moments.second);
  }
  return state;
}

void Optimizer::restore(const std::map<std::string, Tensor>& state) {
  const at::NoGradGuard no_gradient;
  const auto refuse = [](const std::string& name) {
    return bad_usage("train.checkpoint_model", "the saved optimizer is of another model",
                     escape_untrusted(name), "start anew without --resume");
  };
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = *parameters_[i];
    const auto steps = state.find("optimizer/steps/" + parameter.name);
    if (steps == state.end() || steps->second.dtype() != DType::kInt64 ||
        steps->second.numel() != 1)
      throw refuse(parameter.name);
    moments_[i].steps = steps->second.values<int64_t>()[0];
    const auto take = [&](const char* kind, at::Tensor& target) {
      target = at::Tensor();
      const auto found = state.find(std::string("optimizer/") + kind + "/" + parameter.name);
      if (found == state.end()) return;
      const at::Tensor source = to_runtime(found->second).tensor;
      if (source.sizes() != parameter.tensor->sizes() ||
          source.scalar_type() != parameter.tensor->scalar_type())
        throw refuse(parameter.name);
      target = at::empty_like(parameter.tensor->detach()).copy_(source);
    };
    take("first", moments_[i].first);
    take("second", moments_[i].second);
    const bool adam = options_.kind != Kind::kSgd;
    const bool wants_first = moments_[i].steps > 0 && (adam || options_.momentum != 0);
    if (moments_[i].first->defined() != wants_first ||
        moments_[i].second->defined() != (adam && wants_first))
      throw refuse(parameter.name);
  }
}

}  // namespace lathe
