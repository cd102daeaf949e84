#include "train/train.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "ir/error.h"
#include "run/foreign_errors.h"
#include "train/batch_loader.h"
#include "train/gradient_path.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A loss or gradient that is NaN or infinite: the state is not worth keeping.
struct NotFinite {
  Error error;
};

std::map<std::string, std::string> full_recipe(const TrainOptions& options, size_t samples) {
  std::map<std::string, std::string> recipe = options.recipe;
  const OptimizerOptions& o = options.optimizer;
  const LearningRate& rate = options.learning_rate;
  const auto put = [&](const char* key, auto value) { recipe[key] = fmt::format("{}", value); };
  put("epochs", options.epochs);
  put("batch", options.batch);
  put("accumulation", options.accumulation);
  put("seed", options.seed);
  put("samples", samples);
  put("optimizer", optimizer_name(o.kind));
  put("weight-decay", o.weight_decay);
  if (o.kind == OptimizerOptions::Kind::kSgd) {
    put("momentum", o.momentum);
    put("nesterov", o.nesterov);
  } else {
    put("beta1", o.beta1);
    put("beta2", o.beta2);
    put("epsilon", o.epsilon);
  }
  put("lr", rate.base);
  put("lr-schedule", schedule_name(rate.schedule));
  put("warmup-steps", rate.warmup_steps);
  if (rate.schedule == LearningRate::Schedule::kCosine) put("lr-final-share", rate.final_share);
  if (rate.schedule == LearningRate::Schedule::kStep) {
    put("lr-step-size", rate.step_size);
    put("lr-gamma", rate.gamma);
  }
  put("clip-norm", options.clip_norm);
  put("augmentations", options.augment.size());
  put("patience", options.patience);
  return recipe;
}

void check_options(const TrainOptions& options) {
  check_learning_rate(options.learning_rate);
  const auto require = [](bool ok, std::string what, std::string hint) {
    if (!ok) throw bad_usage("train.options", std::move(what), {}, std::move(hint));
  };
  require(options.epochs >= 1, fmt::format("{} epochs", options.epochs), "give 1 or more");
  require(
      options.accumulation >= 1 && options.batch >= 1 && options.batch % options.accumulation == 0,
      fmt::format("a batch of {} cannot be run in {} parts", options.batch, options.accumulation),
      "the parts must divide the batch");
  require(options.clip_norm >= 0 && std::isfinite(options.clip_norm),
          fmt::format("gradients clipped to {}", options.clip_norm), "give 0 or a positive norm");
  require(options.patience >= 0 && options.checkpoint_steps >= 0, "a negative number",
          "give 0 or more");
}

class Run {
 public:
  Run(TrainableGraph& graph, const TrainingData& data, const Loss& loss,
      const TrainOptions& options)
      : graph_(graph),
        data_(data),
        loss_(loss),
        options_(options),
        parameters_(all_parameters(graph, options)),
        optimizer_(options.optimizer, parameters_),
        steps_per_epoch_(steps_per_epoch(data.count, options.batch)),
        steps_(steps_per_epoch_ * options.epochs) {}

  TrainResult train() {
    if (options_.resume) resume();
    start_ = Clock::now();
    first_step_ = step_;
    saved_step_ = step_;
    try {
      while (static_cast<int64_t>(result_.epochs.size()) < options_.epochs &&
             !result_.stopped_early)
        run_epoch();
    } catch (const NotFinite& broken) {
      abandon_step();
      throw broken.error;
    } catch (...) {
      abandon_step();
      if (step_ != saved_step_) save();
      throw;
    }
    result_.steps = step_;
    return std::move(result_);
  }

 private:
  static Parameters all_parameters(TrainableGraph& graph, const TrainOptions& options) {
    Parameters all;
    for (Parameter& parameter : graph.parameters()) all.push_back(&parameter);
    all.insert(all.end(), options.more_parameters.begin(), options.more_parameters.end());
    return all;
  }

  int64_t epoch() const { return static_cast<int64_t>(result_.epochs.size()); }

  void abandon_step() {
    drop_gradients(parameters_);
    graph_.drop_statistics();
  }

  // -- batches -----------------------------------------------------------------------------------

  Batch load(int64_t step) const {
    const int64_t of_epoch = step / steps_per_epoch_;
    const std::vector<size_t> order = epoch_order(data_.count, options_.seed, of_epoch);
    const auto first = static_cast<size_t>(step % steps_per_epoch_ * options_.batch);
    Batch batch =
        make_batch(data_, std::span(order).subspan(first, static_cast<size_t>(options_.batch)));
    for (const Augment& augment : options_.augment) augment(batch, of_epoch);
    return batch;
  }

  Batch take_batch() {
    Batch batch = loader_.take(step_);
    if (step_ + 1 < steps_) loader_.prefetch(step_ + 1);
    return batch;
  }

  Batch part_of(const Batch& batch, int64_t part) const {
    if (options_.accumulation == 1) return batch;
    const int64_t size = options_.batch / options_.accumulation;
    Batch out;
    for (size_t i = 0; i < batch.inputs.size(); ++i) {
      const int64_t axis = i < data_.input_axes.size() ? data_.input_axes[i] : 0;
      // A sample may be more than one row.
      const int64_t rows = axis < 0 ? 0 : batch.inputs[i].size(axis) / options_.accumulation;
      out.inputs.push_back(axis < 0 ? batch.inputs[i]
                                    : batch.inputs[i].narrow(axis, part * rows, rows));
    }
    for (const at::Tensor& target : batch.targets) {
      const int64_t share = target.size(0) / options_.accumulation;
      out.targets.push_back(target.narrow(0, part * share, share));
    }
    const auto first = batch.samples.begin() + part * size;
    out.samples.assign(first, first + size);
    return out;
  }

  // -- one step ----------------------------------------------------------------------------------

  double run_step() {
    const Batch batch = take_batch();
    double loss = 0;
    for (int64_t part = 0; part < options_.accumulation; ++part)
      loss += backward(part_of(batch, part));
    if (step_ == first_step_) require_gradients();
    if (options_.on_gradients) options_.on_gradients(parameters_);
    gradient_norm_ = gradient_norm(parameters_);
    if (!std::isfinite(gradient_norm_))
      throw NotFinite{not_finite("a gradient is NaN or infinite", batch, {})};
    if (options_.clip_norm > 0) clip_gradients(parameters_, gradient_norm_, options_.clip_norm);
    learning_rate_ = learning_rate_at(options_.learning_rate, step_, steps_);
    optimizer_.step(learning_rate_);
    drop_gradients(parameters_);
    graph_.keep_statistics();
    ++step_;
    if (options_.on_step) options_.on_step(graph_, step_);
    return loss;
  }

  double backward(const Batch& part) {
    ForwardOptions forward;
    forward.check = options_.check;
    const std::vector<at::Tensor> outputs = graph_.forward(part.inputs, forward);
    const at::AutoGradMode gradients(true);
    try {
      at::Tensor loss = loss_(outputs, part);
      if (loss.dim() != 0) throw InternalError("a loss must be a scalar");
      if (options_.accumulation > 1) loss = loss / static_cast<double>(options_.accumulation);
      const double value = loss.item<double>();
      if (!std::isfinite(value))
        throw NotFinite{not_finite(fmt::format("the loss is {}", value), part, first_bad(part))};
      if (loss.requires_grad()) loss.backward();
      return value;
    } catch (const NotFinite&) {
      throw;
    } catch (...) {
      rethrow_foreign("the loss");
    }
  }

  std::string first_bad(const Batch& batch) {
    for (const at::Tensor& input : batch.inputs)
      if (input.is_floating_point() && !at::isfinite(input).all().item<bool>())
        return "the input already holds NaN or infinity";
    std::string found;
    ForwardOptions forward;
    forward.on_value = [&](const std::string& node, const at::Tensor& value) {
      if (!found.empty() || !value.is_floating_point()) return;
      if (!at::isfinite(value).all().item<bool>())
        found = "first NaN or infinity at node " + escape_untrusted(node);
    };
    graph_.forward(batch.inputs, forward);
    return found.empty() ? "every node is finite, the loss itself is not" : found;
  }

  Error not_finite(std::string what, const Batch& batch, std::string where) const {
    std::string samples;
    for (size_t i = 0; i < batch.samples.size() && i < 4; ++i)
      samples += fmt::format("{}{}", i == 0 ? "" : ", ", batch.samples[i]);
    if (batch.samples.size() > 4) samples += ", …";
    return bad_input(
        "train.not_finite",
        fmt::format("{} at step {} (epoch {}, step {} of {}; samples {})", what, step_ + 1,
                    epoch() + 1, step_ % steps_per_epoch_ + 1, steps_per_epoch_, samples),
        std::move(where),
        "take a smaller learning rate, a warm-up or clipped gradients; the last "
        "checkpoint was kept");
  }

  // A graph that is cut by an op without derivative would train nothing, silently.
  void require_gradients() const {
    for (const Parameter* parameter : parameters_)
      if (parameter->tensor.grad().defined()) return;
    std::vector<ValueId> constants;
    for (const Parameter& parameter : graph_.parameters()) constants.push_back(parameter.value);
    const GradientPath path = trace_gradients(graph_.graph(), graph_.graph().outputs(), constants);
    std::string where;
    if (!path.stops.empty()) {
      const Node& node = graph_.graph().node(path.stops.back());
      where = fmt::format("node {} ({})", escape_untrusted(node.name),
                          escape_untrusted(node.type_name()));
    }
    throw bad_input("train.no_gradient", "the loss gives no parameter a gradient", where,
                    "an op without derivative stands between them: train on a value before it");
  }

  // -- epochs ------------------------------------------------------------------------------------

  void run_epoch() {
    const int64_t end = (epoch() + 1) * steps_per_epoch_;
    while (step_ < end) {
      if (options_.check) options_.check();
      const double loss = run_step();
      epoch_loss_ += loss;
      report(loss);
      if (options_.checkpoint_steps > 0 && step_ % options_.checkpoint_steps == 0 && step_ < end)
        save();
    }
    finish_epoch();
    save();
  }

  void report(double loss) const {
    if (!options_.progress) return;
    TrainProgress now;
    now.epoch = (step_ - 1) / steps_per_epoch_ + 1;
    now.epochs = options_.epochs;
    now.step = step_;
    now.steps = steps_;
    now.loss = loss;
    now.mean_loss = epoch_loss_ / static_cast<double>((step_ - 1) % steps_per_epoch_ + 1);
    now.gradient_norm = gradient_norm_;
    now.learning_rate = learning_rate_;
    const double seconds = seconds_since(start_) - validation_s_;
    const auto done = static_cast<double>(step_ - first_step_);
    now.samples_per_s = done * static_cast<double>(options_.batch) / std::max(seconds, 1e-9);
    now.eta_s = seconds / done * static_cast<double>(steps_ - step_);
    if (result_.best_epoch) now.best_metric = best_metric();
    options_.progress(now);
  }

  double best_metric() const {
    return result_.epochs[static_cast<size_t>(*result_.best_epoch)].metric.value();
  }

  void finish_epoch() {
    EpochRecord record;
    record.loss = epoch_loss_ / static_cast<double>(steps_per_epoch_);
    record.learning_rate = learning_rate_at(options_.learning_rate, step_ - 1, steps_);
    if (options_.validate) {
      const auto start = Clock::now();
      record.metric = options_.validate(graph_);
      validation_s_ += seconds_since(start);
      const double metric = *record.metric;
      const bool better =
          !std::isnan(metric) &&
          (!result_.best_epoch ||
           (options_.higher_is_better ? metric > best_metric() : metric < best_metric()));
      if (better) {
        if (options_.on_best) options_.on_best(graph_, record);
        result_.best = graph_.state();
        result_.best_epoch = epoch();
      }
    }
    result_.epochs.push_back(record);
    epoch_loss_ = 0;
    decide_early_stop();
  }

  void decide_early_stop() {
    result_.stopped_early = options_.patience > 0 && result_.best_epoch &&
                            epoch() - 1 - *result_.best_epoch >= options_.patience &&
                            epoch() < options_.epochs;
  }

  // -- checkpoints -------------------------------------------------------------------------------

  void save() {
    if (options_.checkpoint.empty()) return;
    Checkpoint checkpoint;
    checkpoint.recipe = full_recipe(options_, data_.count);
    std::map<std::string, Tensor>& tensors = checkpoint.tensors;
    tensors = graph_.state();
    tensors.merge(optimizer_.state());
    for (const Parameter* parameter : options_.more_parameters)
      tensors["more/" + parameter->name] =
          to_tensor({parameter->tensor.detach().contiguous(), parameter->dtype});
    for (const auto& [name, tensor] : result_.best) tensors["best/" + name] = tensor;
    std::vector<double> records;
    for (const EpochRecord& record : result_.epochs) {
      records.push_back(record.loss);
      records.push_back(record.learning_rate);
      records.push_back(record.metric.value_or(0));
    }
    tensors["train/epochs"] =
        Tensor::of<double>({static_cast<int64_t>(result_.epochs.size()), 3}, records);
    tensors["train/step"] = Tensor::scalar<int64_t>(step_);
    tensors["train/epoch_loss"] = Tensor::scalar<double>(epoch_loss_);
    tensors["train/best_epoch"] = Tensor::scalar<int64_t>(result_.best_epoch.value_or(-1));
    if (options_.save_more) options_.save_more(tensors);
    save_checkpoint(options_.checkpoint, checkpoint);
    saved_step_ = step_;
  }

  void resume();

  TrainableGraph& graph_;
  const TrainingData& data_;
  const Loss& loss_;
  const TrainOptions& options_;
  Parameters parameters_;
  Optimizer optimizer_;
  const int64_t steps_per_epoch_;
  const int64_t steps_;

  int64_t step_ = 0;  // complete
  double epoch_loss_ = 0;
  TrainResult result_;

  double gradient_norm_ = 0;
  double learning_rate_ = 0;
  int64_t first_step_ = 0;
  int64_t saved_step_ = 0;
  Clock::time_point start_;
  double validation_s_ = 0;
  BatchLoader loader_{[this](int64_t step) { return load(step); }};  // last: it reads the others
};

void Run::resume() {
  if (options_.checkpoint.empty())
    throw bad_usage("train.resume", "nothing to resume from", {}, "name a checkpoint");
  const Checkpoint saved = load_checkpoint(options_.checkpoint);
  require_same_recipe(saved, full_recipe(options_, data_.count), options_.checkpoint);
  const auto refuse = [&] {
    return bad_usage("train.checkpoint", "the checkpoint is inconsistent", options_.checkpoint,
                     "start anew without --resume");
  };
  step_ = saved.tensor("train/step", DType::kInt64, {}).values<int64_t>()[0];
  epoch_loss_ = saved.tensor("train/epoch_loss", DType::kFloat64, {}).values<double>()[0];
  const int64_t best = saved.tensor("train/best_epoch", DType::kInt64, {}).values<int64_t>()[0];
  const auto epochs = saved.tensors.find("train/epochs");
  if (epochs == saved.tensors.end() || epochs->second.dtype() != DType::kFloat64 ||
      epochs->second.rank() != 2 || epochs->second.shape()[1] != 3)
    throw refuse();
  const auto records = epochs->second.values<double>();
  for (size_t i = 0; i + 2 < records.size(); i += 3) {
    EpochRecord record{records[i], records[i + 1], {}};
    if (options_.validate) record.metric = records[i + 2];
    result_.epochs.push_back(record);
  }
  // After the last step of an epoch its validation may still be to do.
  const int64_t done = epoch() * steps_per_epoch_;
  if (epoch() > options_.epochs || step_ < done || step_ > done + steps_per_epoch_ ||
      best >= epoch() || best < -1 || (best >= 0 && !options_.validate))
    throw refuse();
  if (best >= 0) result_.best_epoch = best;
  graph_.restore(saved.tensors);
  optimizer_.restore(saved.tensors);
  const at::NoGradGuard no_gradient;
  for (Parameter* parameter : options_.more_parameters) {
    const Tensor& tensor =
        saved.tensor("more/" + parameter->name, parameter->dtype, parameter->tensor.sizes().vec());
    parameter->tensor.copy_(to_runtime(tensor).tensor);
  }
  for (const auto& [name, tensor] : saved.tensors)
    if (name.starts_with("best/")) result_.best[name.substr(5)] = tensor;
  if (options_.load_more) options_.load_more(saved.tensors);
  decide_early_stop();
}

}  // namespace

TrainResult train(TrainableGraph& graph, const TrainingData& data, const Loss& loss,
                  const TrainOptions& options) {
  check_options(options);
  return Run(graph, data, loss, options).train();
}

}  // namespace lathe
