#include "quantize/sensitivity/watched_run.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "layers/float_elements.h"
#include "layers/linear_layer.h"
#include "quantize/plan/weight_params.h"
#include "quantize/sensitivity/rounding_sums.h"

namespace lathe {
namespace {

constexpr size_t kWeighingSamples = 16;
constexpr double kLargestError = 65504;  // of quantized nodes: infinity has no derivative

at::Tensor dequantized(const Tensor& integers, const QuantParams& params) {
  const at::Tensor floats = to_runtime(integers).tensor->to(at::kFloat);
  at::Tensor scale = at::empty({static_cast<int64_t>(params.scales.size())}, at::kFloat);
  std::copy(params.scales.begin(), params.scales.end(), scale.data_ptr<float>());
  if (params.axis < 0) return floats * scale;
  std::vector<int64_t> along(static_cast<size_t>(floats.dim()), 1);
  along[static_cast<size_t>(params.axis)] = scale.numel();
  return floats * scale.reshape(along);
}

double squared_sum(const at::Tensor& x) { return x.to(at::kDouble).square().sum().item<double>(); }

// splitmix64 (Steele, Lea, Flood 2014).
uint64_t mixed(uint64_t state) {
  uint64_t z = state + 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

at::Tensor random_signs(const at::Tensor& like, uint64_t key) {
  at::Tensor signs = at::empty(like.sizes(), like.options().requires_grad(false).dtype(at::kFloat));
  auto* data = signs.data_ptr<float>();
  for (int64_t i = 0; i < signs.numel(); i += 64) {
    uint64_t bits = mixed(key ^ mixed(static_cast<uint64_t>(i)));
    for (int64_t k = i; k < std::min(i + 64, signs.numel()); ++k, bits >>= 1)
      data[k] = (bits & 1) != 0 ? 1.0f : -1.0f;
  }
  return signs;
}

bool is_float_tensor(const RuntimeValue& value) {
  return value.is_tensor() && value.tensor->is_floating_point();
}

// Autograd gives these a derivative of zero, which says nothing of an error.
bool is_step(OpKind kind) {
  return kind == OpKind::kRound || kind == OpKind::kFloor || kind == OpKind::kCeil ||
         kind == OpKind::kSign;
}

// Leaves at which t = 0 is added, one for each place.
std::vector<at::Tensor> make_leaves(size_t count, bool differentiated) {
  std::vector<at::Tensor> leaves(differentiated ? count : 0);
  for (at::Tensor& leaf : leaves) leaf = at::zeros({}, at::kFloat).set_requires_grad(true);
  return leaves;
}

void collect(std::vector<at::Tensor>& leaves, int probes, std::vector<SeenError>& seen) {
  for (size_t i = 0; i < leaves.size(); ++i) {
    at::Tensor& gradient = leaves[i].mutable_grad();
    if (!gradient.defined()) continue;
    const double product = gradient.item<float>();
    seen[i].gradient_squared += product * product / probes;
    seen[i].reached = true;
    gradient = at::Tensor();
  }
}

}  // namespace

WatchedRun::WatchedRun(const Graph& reference, const Graph& rounded, const PrecisionPlan& plan,
                       const std::vector<OtherParams>& others) {
  Graph watched = reference;
  for (const auto& [id, params] : plan.values) {
    const auto maker = plan.nodes.find(reference.value(id).producer);
    const bool moved = maker != plan.nodes.end() && maker->second == QuantRole::kMove;
    if (!moved && !params.scales.empty())
      watch_value(plan, id, is_dequantized_for_all(reference, plan, id), watched);
  }
  params_.resize(1 + others.size());
  for (const ValueId id : values_) {
    params_[0].push_back(plan.values.at(id));
    for (size_t k = 0; k < others.size(); ++k) params_[1 + k].push_back(others[k].at(id));
  }
  places_ = values_.size() * params_.size();
  for (const WeightPlan& row : plan.weights) {
    weights_.emplace_back();
    const Tensor& stored = *rounded.constant(rounded.node(row.node).inputs.at(row.input));
    watch_constant(watched, row.node, row.input,
                   dequantized(quantize_tensor(stored, row.params, row.reduce_range), row.params));
    const auto layer = linear_layer(rounded, row.node);
    if (!layer || !layer->bias_node.valid()) continue;
    const Tensor* bias = rounded.constant(rounded.node(layer->bias_node).input(layer->bias_input));
    if (bias != nullptr && bias->dtype() == DType::kFloat32)
      watch_constant(watched, layer->bias_node, layer->bias_input, to_runtime(*bias).tensor);
  }
  output_weight_.assign(watched.outputs().size(), 1.0);
  interpreter_ = std::make_unique<Interpreter>(std::move(watched));
}

WatchedRun::WatchedRun(const Graph& reference, const std::vector<NodeAlone>& quantized)
    : places_(quantized.size()) {
  for (const NodeAlone& one : quantized) {
    Alone alone{one.inputs, {}, std::make_unique<Interpreter>(one.graph), nullptr};
    if (one.against) alone.against = std::make_unique<Interpreter>(*one.against);
    for (const ValueId output : reference.node(one.node).outputs) {
      if (!output.valid()) continue;
      alone.outputs.push_back(output);
      watch_.emplace(output, alone_.size());
    }
    read_alone_.insert(one.inputs.begin(), one.inputs.end());
    alone_.push_back(std::move(alone));
  }
  output_weight_.assign(reference.outputs().size(), 1.0);
  interpreter_ = std::make_unique<Interpreter>(reference);
}

std::map<size_t, WatchedRun::SumError> WatchedRun::errors_of(ValueId id, const at::Tensor& value,
                                                             const WatchOptions& options,
                                                             Seen& seen) const {
  std::map<size_t, SumError> errors;
  const auto it = watch_.find(id);
  if (it == watch_.end()) return errors;
  const size_t first = it->second;
  if (!alone_.empty()) {
    errors[first] = [error =
                         error_alone(id, first, value, options, seen)](const at::Tensor* gradient) {
      RoundingSums sums;
      if (gradient == nullptr)
        sums.squares = squared_sum(error);
      else
        sums.outside = sums.product = (*gradient * error).sum().item<float>();
      return sums;
    };
    return errors;
  }
  const at::Tensor floats = value.to(at::kFloat).contiguous();
  for (size_t k = 0; k < params_.size(); ++k)
    errors[first + k * values_.size()] = [floats,
                                          &params = params_[k][first]](const at::Tensor* gradient) {
      if (gradient == nullptr) return rounding_sums(float_elements(floats), {}, params);
      const at::Tensor held = gradient->to(at::kFloat).contiguous();
      return rounding_sums(float_elements(floats), float_elements(held), params);
    };
  return errors;
}

at::Tensor WatchedRun::error_alone(ValueId id, size_t place, const at::Tensor& value,
                                   const WatchOptions& options, Seen& seen) const {
  const Alone& alone = alone_[place];
  std::vector<RuntimeValue>& made = seen.made[place];
  if (made.empty()) {
    std::vector<RuntimeValue> inputs;
    for (const ValueId input : alone.inputs) inputs.push_back(seen.read.at(input));
    RunOptions run;
    run.check = options.check;
    if (alone.against) seen.against[place] = alone.against->run(inputs, run);
    made = alone.quantized->run(std::move(inputs), run);
  }
  const auto output = static_cast<size_t>(
      std::find(alone.outputs.begin(), alone.outputs.end(), id) - alone.outputs.begin());
  const at::Tensor rounded = made.at(output).tensor;
  const at::Tensor wanted = alone.against ? *seen.against[place].at(output).tensor : value;
  // A shape that depends on the numbers may differ.
  if (!rounded.defined() || !wanted.defined() || rounded.sizes() != value.sizes() ||
      wanted.sizes() != value.sizes())
    return at::zeros_like(value);
  return at::nan_to_num(rounded.to(at::kFloat) - wanted, kLargestError, kLargestError,
                        -kLargestError)
      .clamp_(-kLargestError, kLargestError);
}

void WatchedRun::watch_value(const PrecisionPlan& plan, ValueId id, bool read_by_all,
                             Graph& watched) {
  ValueId place = id;
  if (!read_by_all) {
    // Only the plan's nodes read integers: they get a value of their own.
    const std::vector<NodeId> users = watched.value(id).users;
    place = watched.add_op(OpKind::kIdentity, {id},
                           watched.fresh_name(watched.value(id).name + "_watched"));
    watched.edit_type(place) = watched.value(id).type;
    for (const NodeId user : std::set<NodeId>(users.begin(), users.end())) {
      if (!plan.nodes.contains(user)) continue;
      for (size_t i = 0; i < watched.node(user).inputs.size(); ++i)
        if (watched.node(user).inputs[i] == id) watched.replace_input(user, i, place);
    }
  }
  watch_.emplace(place, values_.size());
  values_.push_back(id);
}

void WatchedRun::watch_constant(Graph& watched, NodeId node, size_t input,
                                const at::Tensor& rounded) {
  const ValueId old = watched.node(node).input(input);
  const Tensor* stored = watched.constant(old);
  if (!old.valid() && watched.node(node).inputs.size() != input) return;
  // Constants that others read, too, are left to them; a bias may be new.
  const std::vector<float> zeros(static_cast<size_t>(stored == nullptr ? rounded.numel() : 0));
  const Tensor own = stored != nullptr ? *stored : Tensor::of<float>(rounded.sizes().vec(), zeros);
  if (own.dtype() != DType::kFloat32 || own.numel() != rounded.numel()) return;
  const ValueId constant = watched.add_constant(watched.fresh_name("watched"), own);
  if (watched.node(node).inputs.size() == input)
    watched.add_node_input(node, constant);
  else
    watched.replace_input(node, input, constant);
  const at::Tensor value = to_runtime(own).tensor->clone();
  weights_.back().push_back({constant, value, rounded.reshape(value.sizes()) - value});
}

void WatchedRun::weigh_outputs(const SampleSource& source, const SampleRunOptions& options) {
  if (graph().outputs().size() < 2) return;
  SampleSource first = source;
  first.count = std::min(source.count, kWeighingSamples);
  SampleRunOptions quiet = options;
  quiet.progress = {};
  std::vector<std::vector<double>> power(first.count);
  const auto work = [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
    RunOptions run;
    run.check = options.check;
    std::vector<RuntimeValue> outputs = interpreter_->run(inputs, run);
    for (const RuntimeValue& output : outputs)
      power[sample].push_back(is_float_tensor(output) ? squared_sum(output.tensor) : 0);
    return outputs;
  };
  for_each_sample(graph(), first, quiet, work);
  for (size_t k = 0; k < output_weight_.size(); ++k) {
    double sum = 0;
    for (const std::vector<double>& row : power) sum += row[k];
    output_weight_[k] =
        sum > 0 && std::isfinite(sum) ? std::sqrt(static_cast<double>(first.count) / sum) : 0.0;
  }
}

std::vector<RuntimeValue> WatchedRun::run(const std::vector<RuntimeValue>& inputs,
                                          const WatchOptions& options, SampleErrors& errors) const {
  const bool differentiated = options.probes > 0;
  // The caller may be in inference mode, whose tensors autograd refuses.
  const c10::InferenceMode no_inference(!differentiated);
  const at::AutoGradMode gradients(differentiated);
  std::vector<at::Tensor> weight_leaves = make_leaves(weights_.size(), differentiated);
  errors.values.resize(places_);
  Seen seen_alone;
  seen_alone.made.resize(alone_.size());
  seen_alone.against.resize(alone_.size());
  errors.weights.resize(weights_.size());

  const auto disturbed = [&](const at::Tensor& x, const at::Tensor& error,
                             const std::vector<at::Tensor>& leaves, size_t index) {
    return differentiated ? at::add(x, leaves[index] * error) : x;
  };
  std::vector<RuntimeValue> constants;
  for (size_t i = 0; i < weights_.size(); ++i)
    for (const Constant& constant : weights_[i]) {
      const auto slot = static_cast<size_t>(constant.id.index);
      constants.resize(std::max(constants.size(), slot + 1));
      constants[slot] = {disturbed(constant.value, constant.error, weight_leaves, i),
                         DType::kFloat32};
      errors.weights[i].error += squared_sum(constant.error);
      errors.weights[i].power += squared_sum(constant.value);
    }

  std::vector<RoundingSums> probed(places_);  // by this probe's gradient
  const auto watch = [&](RuntimeValue& value, const std::map<size_t, SumError>& sums) {
    const double power = squared_sum(value.tensor->detach());
    // The plan's own stands for that of other parameters: only gradients tell these apart.
    const double squares = sums.begin()->second(nullptr).squares;
    for (const auto& [place, sum] : sums) {
      errors.values[place].error += squares;
      errors.values[place].power += power;
    }
    if (!differentiated) return;
    at::Tensor x = value.tensor;
    if (!x.requires_grad()) x = x.detach().set_requires_grad(true);
    x.register_hook([&errors, &probed, sums](const at::Tensor& gradient) {
      const at::NoGradGuard no_gradient;
      for (const auto& [place, sum] : sums) {
        const RoundingSums found = sum(&gradient);
        probed[place].product += found.product;
        probed[place].inside += found.inside;
        probed[place].outside += found.outside;
        errors.values[place].reached = true;
      }
    });
    value.tensor = x;
  };
  const auto keep_read = [&](ValueId id, const RuntimeValue& value) {
    if (!read_alone_.contains(id)) return;
    RuntimeValue& kept = seen_alone.read[id] = value;
    if (kept.is_tensor()) kept.tensor = kept.tensor->detach();
  };
  RunOptions run;
  run.gradients = differentiated;
  run.check = options.check;
  run.constants = constants;
  const Node* depends = nullptr;  // the running node, when it reads something that is watched
  run.compute = [&](const Node& node, const std::vector<RuntimeValue>& read) {
    const bool any = std::any_of(read.begin(), read.end(), [](const RuntimeValue& input) {
      return is_float_tensor(input) && input.tensor->requires_grad();
    });
    depends = any ? &node : nullptr;
    return std::optional<std::vector<RuntimeValue>>{};
  };
  run.on_value = [&](ValueId id, RuntimeValue& value) {
    const NodeId producer = graph().value(id).producer;
    const Node& node = graph().node(producer);
    if (&node == depends && is_float_tensor(value) &&
        (!value.tensor->requires_grad() || is_step(node.kind)))
      errors.stops.insert(producer);
    keep_read(id, value);
    if (!watch_.contains(id) || !is_float_tensor(value)) return;
    watch(value, errors_of(id, value.tensor->detach(), options, seen_alone));
  };
  std::vector<RuntimeValue> given = inputs;
  if (differentiated)
    for (RuntimeValue& input : given)
      if (input.is_tensor()) input.tensor = input.tensor->clone();
  for (size_t i = 0; i < given.size(); ++i) keep_read(graph().inputs()[i], given[i]);
  std::vector<RuntimeValue> outputs = interpreter_->run(std::move(given), run);

  for (size_t k = 0; k < outputs.size(); ++k)
    if (is_float_tensor(outputs[k]))
      errors.output_power +=
          squared_sum(outputs[k].tensor->detach()) * output_weight_[k] * output_weight_[k];
  for (int probe = 0; probe < options.probes; ++probe) {
    at::Tensor seen;
    for (size_t k = 0; k < outputs.size(); ++k) {
      if (!is_float_tensor(outputs[k]) || !outputs[k].tensor->requires_grad()) continue;
      uint64_t key = options.seed;
      for (const size_t part : {options.sample, static_cast<size_t>(probe), k})
        key = mixed(key) ^ part;
      const at::Tensor product =
          (outputs[k].tensor * random_signs(outputs[k].tensor, mixed(key))).sum() *
          output_weight_[k];
      seen = seen.defined() ? seen + product : product;
    }
    if (!seen.defined()) break;
    if (options.check) options.check();
    seen.backward({}, probe + 1 < options.probes);
    for (size_t i = 0; i < places_; ++i) {
      const RoundingSums sums = std::exchange(probed[i], {});
      SeenError& seen_here = errors.values[i];
      seen_here.gradient_squared += sums.product * sums.product / options.probes;
      seen_here.independent_squared += (sums.inside + sums.outside * sums.outside) / options.probes;
    }
    collect(weight_leaves, options.probes, errors.weights);
  }
  for (RuntimeValue& output : outputs)
    if (output.is_tensor()) output.tensor = output.tensor->detach();
  return outputs;
}

std::set<ValueId> WatchedRun::values_before(const std::set<NodeId>& nodes) const {
  std::set<NodeId> before = nodes;
  std::set<ValueId> values;
  const std::vector<NodeId> order = graph().order();
  for (auto it = order.rbegin(); it != order.rend() && !nodes.empty(); ++it) {
    const Node& node = graph().node(*it);
    const bool leads = before.contains(*it) ||
                       std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId output) {
                         return output.valid() && values.contains(output);
                       });
    if (!leads || node.kind == OpKind::kShape || node.kind == OpKind::kSize) continue;
    for (const ValueId input : node.inputs)
      if (input.valid()) values.insert(input);
    for (const Subgraph& subgraph : node.subgraphs)
      values.insert(subgraph.captures.begin(), subgraph.captures.end());
  }
  return values;
}

}  // namespace lathe
