#include "train/train.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <span>

#include "ir/error.h"
#include "run/foreign_errors.h"
#include "train/agreement.h"
#include "train/batch_loader.h"
#include "train/checkpoint_lock.h"
#include "train/not_finite.h"
#include "train/train_position.h"
#include "train/train_recipe.h"

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

class Run {
 public:
  Run(TrainableGraph& graph, const TrainingData& data, const Loss& loss,
      const TrainOptions& options)
      : graph_(graph),
        data_(data),
        loss_(loss),
        options_(options),
        others_(options.processes),
        parameters_(all_parameters(graph, options)),
        optimizer_(options.optimizer, parameters_),
        steps_per_epoch_(steps_per_epoch(data.count, options.batch)),
        steps_(steps_per_epoch_ * options.epochs),
        share_(others_ != nullptr ? share_of(options.batch, others_->rank(), others_->size())
                                  : Share{0, options.batch}),
        // The same number of parts in every process.
        parts_(std::min(options.accumulation,
                        others_ != nullptr ? share_of(options.batch, 0, others_->size()).count
                                           : options.batch)) {}

  TrainResult train() {
    const std::string untrained = untrained_parameters(graph_);
    if (others_ != nullptr) require_same(*others_, full_recipe(options_, data_.count));
    if (begins_from_checkpoint())
      resume();
    else if (others_ != nullptr)
      take_first_parameters();
    start_ = Clock::now();
    first_step_ = position_.step;
    saved_step_ = position_.step;
    try {
      while (epoch() < options_.epochs && !result().stopped_early) run_epoch();
      if (others_ != nullptr) wait_for_all();
    } catch (const NotFinite& broken) {
      abandon_step();
      throw broken.error;
    } catch (const Error& error) {
      keep_what_is_done();
      // Signals often come to all processes at once: this one may have got its own.
      if (error.id() == "train.peer_lost" && options_.check) options_.check();
      throw;
    } catch (...) {
      keep_what_is_done();
      throw;
    }
    result().steps = position_.step;
    result().untrained = untrained;
    return std::move(result());
  }

 private:
  static Parameters all_parameters(TrainableGraph& graph, const TrainOptions& options) {
    Parameters all;
    for (Parameter& parameter : graph.parameters()) all.push_back(&parameter);
    all.insert(all.end(), options.more_parameters.begin(), options.more_parameters.end());
    return all;
  }

  TrainResult& result() { return position_.result; }
  const TrainResult& result() const { return position_.result; }
  int64_t epoch() const { return static_cast<int64_t>(result().epochs.size()); }
  bool is_first() const { return others_ == nullptr || others_->rank() == 0; }

  void abandon_step() {
    drop_gradients(parameters_);
    graph_.drop_statistics();
  }

  void keep_what_is_done() {
    abandon_step();
    if (position_.step == saved_step_ || options_.checkpoint.empty()) return;
    if (is_first()) return save();
    try {
      // Held: rank 0 lives and writes, or the training has been started again.
      const std::filesystem::path folder = std::filesystem::path(options_.checkpoint).parent_path();
      const CheckpointLock lock(folder.empty() ? "." : folder.string());
      save();
    } catch (const Error&) {
      // Nor need rank 0's folder be here.
    }
  }

  // -- processes ---------------------------------------------------------------------------------

  bool begins_from_checkpoint() {
    if (others_ == nullptr) return options_.resume;
    return text_of_first(*others_, options_.resume ? "resume" : "anew") == "resume";
  }

  void take_first_parameters() {
    Checkpoint own;
    own.tensors = graph_.state();
    put_more_parameters(own);
    const std::string bytes = is_first() ? checkpoint_bytes(own) : std::string();
    const Checkpoint first = parse_checkpoint(text_of_first(*others_, bytes), "rank 0");
    graph_.restore(first.tensors);
    take_more_parameters(first);
  }

  void wait_for_all() {
    at::Tensor nothing = at::zeros({1});
    others_->sum(nothing);
  }

  // -- batches -----------------------------------------------------------------------------------

  std::vector<size_t> samples_of(int64_t step, Share share, std::span<const size_t> order) const {
    const auto first = order.begin() + step % steps_per_epoch_ * options_.batch + share.first;
    return {first, first + share.count};
  }

  std::vector<size_t> order_of(int64_t step) const {
    return epoch_order(data_.count, options_.seed, step / steps_per_epoch_);
  }

  /// In the loader's thread.
  Batch load(int64_t step) {
    if (const int64_t epoch = step / steps_per_epoch_; epoch != loaded_epoch_) {
      loaded_order_ = order_of(step);
      loaded_epoch_ = epoch;
    }
    Batch batch = make_batch(data_, samples_of(step, share_, loaded_order_));
    for (const Augment& augment : options_.augment) augment(batch, step / steps_per_epoch_);
    return batch;
  }

  Batch take_batch() {
    Batch batch = loader_.take(position_.step);
    if (position_.step + 1 < steps_) loader_.prefetch(position_.step + 1);
    return batch;
  }

  // -- one step ----------------------------------------------------------------------------------

  double run_step() {
    const Batch batch = take_batch();
    double loss = 0;
    for (int64_t i = 0; i < parts_; ++i)
      loss += backward(part_of_batch(batch, share_of(share_.count, i, parts_), data_.input_axes));
    if (others_ != nullptr) sum_gradients(parameters_, *others_);
    if (position_.step == first_step_) require_gradients();
    if (options_.on_gradients) options_.on_gradients(parameters_);
    gradient_norm_ = agreed_norm();
    if (!std::isfinite(gradient_norm_))
      throw NotFinite{not_finite(
          "a gradient is NaN or infinite",
          samples_of(position_.step, {0, options_.batch}, order_of(position_.step)), {})};
    if (options_.clip_norm > 0) clip_gradients(parameters_, gradient_norm_, options_.clip_norm);
    learning_rate_ = learning_rate_at(options_.learning_rate, position_.step, steps_);
    optimizer_.step(learning_rate_);
    drop_gradients(parameters_);
    graph_.keep_statistics();
    ++position_.step;
    position_.epoch_loss += loss;  // belongs to the step, also when on_step throws
    if (options_.on_step) options_.on_step(graph_, position_.step);
    return loss;
  }

  /// The part's share of the batch's loss, in all processes together.
  double backward(const Batch& part) {
    ForwardOptions forward;
    forward.check = options_.check;
    at::Tensor loss;
    const at::AutoGradMode gradients(true);
    if (!part.samples.empty()) {
      const std::vector<at::Tensor> outputs = graph_.forward(part.inputs, forward);
      try {
        loss = loss_(outputs, part);
        if (loss.dim() != 0) throw InternalError("a loss must be a scalar");
        const auto samples = static_cast<int64_t>(part.samples.size());
        if (samples != options_.batch)
          loss = loss * (static_cast<double>(samples) / static_cast<double>(options_.batch));
      } catch (...) {
        rethrow_foreign("the loss");
      }
    }
    const double own = loss.defined() ? loss.item<double>() : 0;
    const double value = require_finite(own, part);
    try {
      if (loss.defined() && loss.requires_grad()) loss.backward();
    } catch (...) {
      rethrow_foreign("the loss");
    }
    return value;
  }

  /// The sum over all processes.
  double require_finite(double own, const Batch& part) {
    at::Tensor all = at::tensor({own, std::isfinite(own) ? 0.0 : 1.0}, at::kDouble);
    if (others_ != nullptr) others_->sum(all);
    if (all[1].item<double>() == 0) return all[0].item<double>();
    FirstBad bad;
    if (!part.samples.empty()) bad = first_not_finite(graph_, part);
    std::optional<Error> error;
    if (!std::isfinite(own))
      error = not_finite(std::isnan(own) ? "the loss is NaN" : fmt::format("the loss is {}", own),
                         part.samples, bad.where);
    if (others_ != nullptr) error = first_error(*others_, error, bad.order);
    throw NotFinite{error.value()};
  }

  /// The same bits in all processes, whatever their processors: clipping must not part them.
  double agreed_norm() const {
    at::Tensor norm = at::full({1}, gradient_norm(parameters_), at::kDouble);
    if (others_ != nullptr) others_->take_from_first(norm);
    return norm[0].item<double>();
  }

  Error not_finite(std::string what, const std::vector<size_t>& of, std::string where) const {
    std::string samples;
    for (size_t i = 0; i < of.size() && i < 4; ++i)
      samples += fmt::format("{}{}", i == 0 ? "" : ", ", of[i]);
    if (of.size() > 4) samples += ", …";
    return bad_input(
        "train.not_finite",
        fmt::format("{} at step {} (epoch {}, step {} of {}; samples {})", what, position_.step + 1,
                    epoch() + 1, position_.step % steps_per_epoch_ + 1, steps_per_epoch_, samples),
        std::move(where),
        "take a smaller learning rate, a warm-up or clipped gradients; the last "
        "checkpoint was kept");
  }

  // A graph that is cut by an op without derivative would train nothing, silently.
  void require_gradients() const {
    for (const Parameter* parameter : parameters_)
      if (parameter->tensor->grad().defined()) return;
    throw no_gradient(graph_);
  }

  // -- epochs ------------------------------------------------------------------------------------

  void run_epoch() {
    const int64_t end = (epoch() + 1) * steps_per_epoch_;
    while (position_.step < end) {
      if (options_.check) options_.check();
      report(run_step());
      if (options_.checkpoint_steps > 0 && position_.step % options_.checkpoint_steps == 0 &&
          position_.step < end && is_first())
        save();
    }
    finish_epoch();
    if (is_first()) save();
  }

  void report(double loss) const {
    if (!options_.progress) return;
    const int64_t step = position_.step;
    TrainProgress now;
    now.epoch = (step - 1) / steps_per_epoch_ + 1;
    now.epochs = options_.epochs;
    now.step = step;
    now.steps = steps_;
    now.loss = loss;
    now.mean_loss = position_.epoch_loss / static_cast<double>((step - 1) % steps_per_epoch_ + 1);
    now.gradient_norm = gradient_norm_;
    now.learning_rate = learning_rate_;
    const double seconds = seconds_since(start_) - validation_s_;
    const auto done = static_cast<double>(step - first_step_);
    now.samples_per_s = done * static_cast<double>(options_.batch) / std::max(seconds, 1e-9);
    now.eta_s = seconds / done * static_cast<double>(steps_ - step);
    if (result().best_epoch) now.best_metric = best_metric();
    options_.progress(now);
  }

  double best_metric() const {
    return result().epochs[static_cast<size_t>(*result().best_epoch)].metric.value();
  }

  double agreed_metric() {
    const auto start = Clock::now();
    at::Tensor metric = at::zeros({1}, at::kDouble);
    if (is_first()) metric[0] = options_.validate(graph_);
    if (others_ != nullptr) others_->take_from_first(metric);
    validation_s_ += seconds_since(start);
    return metric[0].item<double>();
  }

  void finish_epoch() {
    EpochRecord record;
    record.loss = position_.epoch_loss / static_cast<double>(steps_per_epoch_);
    record.learning_rate = learning_rate_at(options_.learning_rate, position_.step - 1, steps_);
    if (options_.validate) {
      record.metric = agreed_metric();
      const double metric = *record.metric;
      const bool better =
          !std::isnan(metric) &&
          (!result().best_epoch ||
           (options_.higher_is_better ? metric > best_metric() : metric < best_metric()));
      if (better) {
        if (options_.on_best) options_.on_best(graph_, record);
        result().best = graph_.state();
        result().best_epoch = epoch();
      }
    }
    result().epochs.push_back(record);
    position_.epoch_loss = 0;
    decide_early_stop();
  }

  void decide_early_stop() {
    result().stopped_early = options_.patience > 0 && result().best_epoch &&
                             epoch() - 1 - *result().best_epoch >= options_.patience &&
                             epoch() < options_.epochs;
  }

  // -- checkpoints -------------------------------------------------------------------------------

  void put_more_parameters(Checkpoint& checkpoint) const {
    for (const Parameter* parameter : options_.more_parameters)
      checkpoint.tensors["more/" + parameter->name] =
          to_tensor({parameter->tensor->detach().contiguous(), parameter->dtype});
  }

  void take_more_parameters(const Checkpoint& saved) {
    const at::NoGradGuard no_gradient;
    for (Parameter* parameter : options_.more_parameters) {
      const Tensor& tensor = saved.tensor("more/" + parameter->name, parameter->dtype,
                                          parameter->tensor->sizes().vec());
      parameter->tensor->copy_(to_runtime(tensor).tensor);
    }
  }

  void save() {
    if (options_.checkpoint.empty()) return;
    Checkpoint checkpoint;
    checkpoint.recipe = full_recipe(options_, data_.count);
    checkpoint.tensors = graph_.state();
    checkpoint.tensors.merge(optimizer_.state());
    put_more_parameters(checkpoint);
    put_position(position_, checkpoint);
    if (options_.save_more) options_.save_more(checkpoint.tensors);
    save_checkpoint(options_.checkpoint, checkpoint);
    saved_step_ = position_.step;
  }

  LoadedCheckpoint load_saved() const {
    if (options_.checkpoint.empty())
      throw bad_usage("train.resume", "nothing to resume from", {}, "name a checkpoint");
    LoadedCheckpoint loaded = load_newest_checkpoint(options_.checkpoint);
    require_same_recipe(loaded.checkpoint, full_recipe(options_, data_.count), options_.checkpoint);
    return loaded;
  }

  /// Rank 0's file, which others may not see.
  LoadedCheckpoint load_of_first() {
    LoadedCheckpoint loaded;
    std::optional<Error> error;
    try {
      if (is_first()) loaded = load_saved();
    } catch (const Error& refused) {
      error = refused;
    }
    if (const auto agreed = first_error(*others_, error)) throw *agreed;
    const std::string bytes = is_first() ? checkpoint_bytes(loaded.checkpoint) : std::string();
    const std::string received = text_of_first(*others_, bytes);
    if (!is_first()) loaded.checkpoint = parse_checkpoint(received, options_.checkpoint);
    loaded.why = text_of_first(*others_, loaded.why);
    return loaded;
  }

  void resume() {
    const LoadedCheckpoint loaded = others_ != nullptr ? load_of_first() : load_saved();
    const Checkpoint& saved = loaded.checkpoint;
    position_ = position_of(saved, options_, steps_per_epoch_);
    graph_.restore(saved.tensors);
    optimizer_.restore(saved.tensors);
    take_more_parameters(saved);
    if (options_.on_resume) options_.on_resume(position_.step, loaded.why);
    if (options_.load_more) options_.load_more(saved.tensors);
    decide_early_stop();
  }

  TrainableGraph& graph_;
  const TrainingData& data_;
  const Loss& loss_;
  const TrainOptions& options_;
  Processes* const others_;  // nullptr: alone
  Parameters parameters_;
  Optimizer optimizer_;
  const int64_t steps_per_epoch_;
  const int64_t steps_;
  const Share share_;    // of a batch, run here
  const int64_t parts_;  // of the share

  TrainPosition position_;
  double gradient_norm_ = 0;
  double learning_rate_ = 0;
  int64_t first_step_ = 0;
  int64_t saved_step_ = 0;
  Clock::time_point start_;
  double validation_s_ = 0;
  std::vector<size_t> loaded_order_;  // of samples in loaded_epoch_
  int64_t loaded_epoch_ = -1;
  BatchLoader loader_{[this](int64_t step) { return load(step); }};  // last: it reads the others
};

}  // namespace

TrainResult train(TrainableGraph& graph, const TrainingData& data, const Loss& loss,
                  const TrainOptions& options) {
  check_train_options(options);
  return Run(graph, data, loss, options).train();
}

}  // namespace lathe
