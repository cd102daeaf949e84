#include "commands/training/fine_tune.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "commands/training/training_recipe.h"
#include "heavy/model_data.h"
#include "ir/error.h"
#include "os/freed_memory.h"
#include "os/signals.h"
#include "report/nearest_name.h"
#include "run/threads.h"
#include "stopwatch.h"
#include "train/augmentations.h"
#include "train/batch_form.h"
#include "train/bfloat16.h"
#include "train/checkpoint_lock.h"
#include "train/synchronized_batch_norm.h"
#include "train/weight_average.h"

namespace lathe {
namespace {

using State = std::map<std::string, Tensor>;

// Activations that one forward and backward pass may keep.
constexpr int64_t kActivationBytes = int64_t{2} << 30;
constexpr const char* kAverage = "caller/average/";
constexpr const char* kBest = "caller/best/";
constexpr const char* kExtra = "extra/";  // parameters that are not the graph's

// A second signal, not the clock, ends a process that still writes its checkpoint.
class CheckpointGrace {
 public:
  explicit CheckpointGrace(bool active) : active_(active) {
    if (active_) set_interrupt_grace(0);
  }
  ~CheckpointGrace() {
    if (active_) set_interrupt_grace(2);
  }
  CheckpointGrace(const CheckpointGrace&) = delete;
  CheckpointGrace& operator=(const CheckpointGrace&) = delete;

 private:
  bool active_;
};

State without_prefix(const State& state, const std::string& prefix) {
  State found;
  for (const auto& [name, tensor] : state)
    if (name.starts_with(prefix)) found[name.substr(prefix.size())] = tensor;
  return found;
}

// Smallest number of parts that divides the batch and keeps a part's activations within the limit.
int64_t parts_of(int64_t batch, int64_t bytes_a_sample) {
  for (int64_t parts = 1; parts < batch; ++parts)
    if (batch % parts == 0 && bytes_a_sample <= kActivationBytes / (batch / parts)) return parts;
  return batch;
}

bool has_batch_norm(const Graph& graph) {
  const std::vector<NodeId> nodes = graph.node_ids();
  return std::any_of(nodes.begin(), nodes.end(),
                     [&](NodeId id) { return graph.node(id).kind == OpKind::kBatchNormalization; });
}

class FineTuning {
 public:
  FineTuning(const FineTuneTask& task, Console& console)
      : task_(task), console_(console), form_(training_form(task.student)) {}

  FineTuned run() {
    const Stopwatch start;
    set_thread_count(task_.threads);
    TrainOptions options = prepare();
    const CheckpointGrace grace(!options.checkpoint.empty());
    set_trainable_options();
    TrainableGraph graph(form_.batched, trainable_);
    if (task_.options.ema > 0) average_.emplace(graph, task_.options.ema);
    if (!options.resume && task_.hooks.on_start) task_.hooks.on_start(graph, 0, steps_);
    connect(graph, options);
    console_.progress().start(task_.label, steps_, "steps");
    const TrainResult trained = trained_or_kept(graph, options);
    console_.progress().finish();
    finish(graph, trained);
    result_.seconds = start.seconds();
    return std::move(result_);
  }

 private:
  // An interruption says how to go on.
  TrainResult trained_or_kept(TrainableGraph& graph, const TrainOptions& options) {
    try {
      return train(graph, teaching_.data, teaching_.loss, options);
    } catch (const Error& error) {
      const bool asked =
          error.code() == ExitCode::kInterrupted || error.code() == ExitCode::kTerminated;
      if (asked && is_first() && checkpoint_exists(options.checkpoint))
        console_.warn("train.checkpoint", "the state of the training is in " + options.checkpoint,
                      "the same command with --resume goes on");
      throw;
    }
  }

  TrainOptions prepare() {
    const TrainingOptions& given = task_.options;
    const std::string checkpoint = checkpoint_file(given, task_.replace_checkpoint);
    if (!checkpoint.empty() && is_first()) lock_.emplace(given.checkpoint);
    TrainOptions options = train_options(given, task_.data.size(), task_.seed);
    options.augment = augmentations(given.augment, form_.original, task_.data, task_.seed);
    if (options.batch < given.batch)
      note(fmt::format("batch {} instead of {}: there are no more samples", options.batch,
                       given.batch));
    choose_batch_form(options);
    teach(options);
    options.checkpoint = checkpoint;
    options.resume = decided_by_first(given.resume && checkpoint_exists(checkpoint));
    if (given.resume && !options.resume)
      console_.warn("train.resume", "there is no checkpoint yet: training starts anew");
    options.recipe = training_recipe(task_);
    options.processes = task_.processes;
    extra_ = extra_parameters();
    options.more_parameters = extra_;
    steps_per_epoch_ = steps_per_epoch(task_.data.size(), options.batch);
    steps_ = steps_per_epoch_ * options.epochs;
    // Not after every short epoch, and not hours apart.
    options.checkpoint_steps = 500;
    options.on_resume = [this](int64_t, const std::string& why_previous) {
      if (!why_previous.empty())
        console_.warn("train.checkpoint", "the newest checkpoint could not be used (" +
                                              why_previous + "): the one before it was");
    };
    options.check = throw_if_interrupted;
    options.higher_is_better = task_.higher_is_better;
    result_.batch = options.batch;
    result_.accumulation = options.accumulation;
    return options;
  }

  void choose_batch_form(TrainOptions& options) {
    const bool norms = has_batch_norm(form_.original);
    freeze_ = task_.options.freeze_bn;
    if (!form_.axes.free) {
      options.accumulation = options.batch;
      note("samples run one by one, gradients of a batch are added up: " + form_.refusal);
      if (norms && !freeze_) note("BatchNormalization keeps its averages: a batch of 1 has none");
      freeze_ = true;
    } else {
      const int64_t bytes = activation_bytes(form_.original);
      options.accumulation = task_.options.accumulate > 0 ? task_.options.accumulate
                                                          : parts_of(share_of(options), bytes);
      if (options.accumulation > 1 && norms && !freeze_) {
        // The statistics must be those of the whole batch.
        options.accumulation = 1;
        checkpoint_activations_ = true;
        note(
            "activations are computed anew in the backward pass to save memory: in parts, a batch "
            "would have other BatchNormalization statistics");
      }
      if (options.accumulation > 1)
        note(fmt::format("a batch of {} runs in {} parts to save memory", options.batch,
                         options.accumulation));
    }
    result_.batch_norm = !norms ? "none" : freeze_ ? "frozen" : "trained";
    if (!task_.data.carry().empty())
      note("state that samples carry on starts anew in each: training sees single samples");
  }

  bool is_first() const { return task_.processes == nullptr || task_.processes->rank() == 0; }

  bool decided_by_first(bool own) const {
    if (task_.processes == nullptr) return own;
    at::Tensor flag = at::tensor({int64_t{own}});
    task_.processes->take_from_first(flag);
    return flag.item<int64_t>() != 0;
  }

  // Samples of a batch that this process runs.
  int64_t share_of(const TrainOptions& options) const {
    const int64_t processes = task_.processes != nullptr ? task_.processes->size() : 1;
    return (options.batch + processes - 1) / processes;
  }

  void set_trainable_options() {
    const TrainingOptions& given = task_.options;
    trainable_.freeze_batch_norm = freeze_;
    trainable_.outputs = teaching_.outputs;
    trainable_.channels_last = given.channels_last;
    trainable_.checkpoint_activations = checkpoint_activations_ || given.checkpoint_activations;
    trainable_.bfloat16 = given.bfloat16 && host_has_bfloat16();
    if (given.bfloat16 && !trainable_.bfloat16)
      console_.warn("train.bfloat16", "this processor has no bfloat16: training is in float32");
    if (task_.integers != nullptr) task_.integers->set_hooks(trainable_);
    if (task_.processes != nullptr)
      trainable_.batch_norm = synchronized_batch_norm(*task_.processes);
    if (trainable_.checkpoint_activations) return_freed_memory();
    result_.bfloat16 = trainable_.bfloat16;
    result_.checkpointed_activations = trainable_.checkpoint_activations;
  }

  Parameters extra_parameters() {
    Parameters all;
    for (const auto& parameter : teaching_.parameters) all.push_back(parameter.get());
    if (task_.integers != nullptr)
      for (Parameter* parameter : task_.integers->parameters()) all.push_back(parameter);
    return all;
  }

  void teach(const TrainOptions& options) {
    TeachingOptions teaching;
    teaching.alpha = task_.options.alpha;
    teaching.temperature = task_.options.temperature;
    teaching.inputs_change = !options.augment.empty();
    teaching.classes = task_.options.classes;
    teaching.label_smoothing = task_.options.label_smoothing;
    teaching.features = task_.features;
    teaching.seed = task_.seed;
    teaching.hint = name_hint;
    teaching.batch = std::min<int64_t>(options.batch / options.accumulation, 64);
    teaching.student_axes = form_.axes;
    teaching.check = throw_if_interrupted;
    std::optional<TrainingForm> teacher;
    if (task_.teacher != nullptr) {
      teacher = training_form(*task_.teacher);
      teaching.teacher_axes = teacher->axes;
    }
    source_ = sample_source(task_.data);
    if (task_.data.has_labels()) labels_ = [this](size_t i) { return task_.data.label(i); };
    const auto count = static_cast<int64_t>(task_.data.size());
    console_.progress().start("asking the teacher", count, "samples");
    teaching.progress = [this](size_t done, size_t) {
      console_.progress().update(static_cast<int64_t>(done));
    };
    teaching_ = make_teaching(form_.batched, teacher ? &teacher->batched : nullptr, source_,
                              labels_, teaching);
    console_.progress().finish();
    for (const std::string& text : teaching_.notes) note(text);
    result_.taught = teaching_.taught;
    result_.loss = teaching_.description();
    result_.teacher_cached = teaching_.cached;
    for (const TaughtOutput& output : teaching_.taught) {
      result_.teacher = result_.teacher || output.teacher_share > 0;
      result_.labels = result_.labels || output.label_share > 0;
    }
  }

  void connect(TrainableGraph& graph, TrainOptions& options) {
    options.progress = [this](const TrainProgress& now) {
      result_.samples_per_s = now.samples_per_s;
      console_.progress().update(
          now.step, fmt::format("epoch {}/{}, loss {:.4g}, {:.0f} samples/s", now.epoch, now.epochs,
                                now.mean_loss, now.samples_per_s));
    };
    options.on_step = [this](TrainableGraph& trained, int64_t done) {
      if (task_.hooks.on_step) task_.hooks.on_step(trained, done, steps_);
      if (average_) average_->update(trained, done);
      if (!task_.validate && task_.on_better && done % (steps_per_epoch_) == 0)
        task_.on_better(present(trained), {});
    };
    if (task_.validate)
      options.validate = [this](const TrainableGraph& now) {
        console_.progress().pause();
        judged_ = present(now);
        const double value = task_.validate(judged_);
        console_.progress().resume();
        return value;
      };
    options.on_best = [this](const TrainableGraph& now, const EpochRecord& record) {
      // Otherwise it is TrainResult::best.
      if (task_.keep_best && (average_ || !extra_.empty())) best_ = present_state(now);
      if (task_.on_better) task_.on_better(judged_, record);
    };
    options.save_more = [this](State& state) {
      if (average_)
        for (const auto& [name, tensor] : average_->state()) state[kAverage + name] = tensor;
      for (const auto& [name, tensor] : best_) state[kBest + name] = tensor;
    };
    options.load_more = [this, &graph](const State& state) {
      const int64_t done = state.at("train/step").values<int64_t>()[0];
      result_.steps_before = done;
      if (average_) average_->restore(without_prefix(state, kAverage));
      best_ = without_prefix(state, kBest);
      if (task_.hooks.on_start) task_.hooks.on_start(graph, done, steps_);
    };
  }

  // Weights (averaged, if they are) and what is learned beside them.
  State present_state(const TrainableGraph& graph) const {
    State state = average_ ? average_->state() : graph.state();
    for (const Parameter* parameter : extra_)
      state[kExtra + parameter->name] = to_tensor({parameter->tensor->detach(), parameter->dtype});
    return state;
  }

  Graph from_state(const State& state) const {
    const at::NoGradGuard no_gradient;
    for (Parameter* parameter : extra_)
      if (const auto found = state.find(kExtra + parameter->name); found != state.end())
        parameter->tensor->copy_(to_runtime(found->second).tensor);
    TrainableGraph graph(form_.batched, trainable_);
    graph.restore(state);
    return with_weights_of(form_, graph.trained());
  }

  Graph present(const TrainableGraph& graph) const {
    return average_ ? from_state(average_->state()) : with_weights_of(form_, graph.trained());
  }

  void finish(const TrainableGraph& graph, const TrainResult& trained) {
    result_.epochs = trained.epochs;
    result_.best_epoch = trained.best_epoch;
    result_.steps = trained.steps;
    result_.stopped_early = trained.stopped_early;
    if (task_.processes != nullptr) result_.processes = task_.processes->size();
    if (!trained.untrained.empty()) note(trained.untrained);
    const State& best = best_.empty() ? trained.best : best_;
    result_.graph = task_.keep_best && !best.empty() ? from_state(best) : present(graph);
  }

  void note(const std::string& text) { result_.notes.push_back(text); }

  const FineTuneTask& task_;
  Console& console_;
  TrainingForm form_;
  SampleSource source_;
  std::function<Tensor(size_t)> labels_;
  Teaching teaching_;
  TrainableOptions trainable_;
  Parameters extra_;
  std::optional<WeightAverage> average_;
  State best_;    // of averaged weights, or with what is learned beside them
  Graph judged_;  // what `validate` saw last
  bool freeze_ = false;
  bool checkpoint_activations_ = false;
  int64_t steps_per_epoch_ = 0;
  int64_t steps_ = 0;
  std::optional<CheckpointLock> lock_;
  FineTuned result_;
};

}  // namespace

FineTuned fine_tune(const FineTuneTask& task, Console& console) {
  return FineTuning(task, console).run();
}

}  // namespace lathe
