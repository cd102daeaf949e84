#include "commands/quantize/deciding_metric.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <atomic>
#include <cmath>

#include "calibration/data_key.h"
#include "commands/quantize/eval_command.h"
#include "commands/quantize/layer_search.h"
#include "heavy/model_data.h"
#include "ops/op_row.h"
#include "os/signals.h"
#include "passes/passes.h"
#include "quantize/apply/fuse_qoperators.h"
#include "run/sample_runner.h"

namespace lathe {
namespace {

// Outputs of the float network that are kept, so that it does not run again for each candidate.
constexpr int64_t kKeptBytes = int64_t{256} << 20;
// Of a metric that is not a number: worse than any.
constexpr double kLostDrop = 1e6;

bool is_points(Metric metric) { return needs_labels(metric) || metric == Metric::kAgreement; }

class PairedRun {
 public:
  PairedRun(const QuantizeJob& job, const Graph& reference)
      : job_(job),
        data_(job_data(job, job.options.eval, 0)),
        metric_(choose_metric(job.options.metric, data_.has_labels())),
        labels_(label_source(data_)),
        reference_(reference),
        before_(metric_, data_.size()),
        scores_(data_.size()),
        kept_(data_.size()) {}

  Metric metric() const { return metric_; }

  MetricReading read(const Graph& graph) {
    const Interpreter candidate(graph);
    MetricCollector after(metric_, data_.size());
    const SampleSource source = sample_source(data_);
    const bool first = !known_;
    const auto work = [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
      RunOptions run;
      run.check = throw_if_interrupted;
      std::vector<RuntimeValue> wanted;
      const bool needed = !kept_[sample].defined() && !needs_labels(metric_);
      if (first || needed || !source.carry.empty()) wanted = reference_.run(inputs, run);
      const at::Tensor against = wanted.empty() ? kept_[sample] : *wanted.at(0).tensor;
      const std::vector<int64_t> labels = labels_ ? labels_(sample) : std::vector<int64_t>{};
      if (first) {
        before_.add(sample, against, labels, against);
        scores_[sample].before = score(against, labels, against).first;
        keep(sample, against);
      }
      const std::vector<RuntimeValue> got = candidate.run(inputs, run);
      after.add(sample, got.at(0).tensor, labels, against);
      const auto [numerator, weight] = score(got[0].tensor, labels, against);
      scores_[sample].after = numerator;
      scores_[sample].weight = weight;
      return wanted;
    };
    for_each_sample(reference_.graph(), source,
                    sample_run(job_.threads, job_.console, "evaluating", data_.size()), work);
    known_ = true;

    MetricReading reading;
    // Against the float model its own outputs are perfect.
    const double perfect = metric_ == Metric::kAgreement ? 1.0 : 0.0;
    if (needs_labels(metric_)) reading.before = before_.value();
    reading.after = after.value().value_or(NAN);
    reading.samples = after.items();
    reading.points = is_points(metric_);
    reading.drop = metric_drop(metric_, reading.before.value_or(perfect), reading.after);
    if (!std::isfinite(reading.drop)) reading.drop = kLostDrop;
    if (metric_ != Metric::kMiou && metric_ != Metric::kSqnr)
      reading.interval =
          drop_interval(scores_, is_points(metric_) ? DropKind::kPoints : DropKind::kRelative,
                        job_.options.common.seed);
    return reading;
  }

 private:
  // Numerator and items of one sample; miou has none.
  std::pair<double, double> score(const at::Tensor& output, const std::vector<int64_t>& labels,
                                  const at::Tensor& against) const {
    if (metric_ == Metric::kMiou || metric_ == Metric::kSqnr) return {0, 0};
    MetricCollector one(metric_, 1);
    one.add(0, output, labels, against);
    const auto items = static_cast<double>(one.items());
    return {one.value().value_or(0) * items, items};
  }

  void keep(size_t sample, const at::Tensor& output) {
    if (needs_labels(metric_)) return;
    const auto bytes = static_cast<int64_t>(output.nbytes());
    if (kept_bytes_ + bytes > kKeptBytes) return;
    kept_bytes_ += bytes;
    kept_[sample] = output;
  }

  const QuantizeJob& job_;
  DataSet data_;
  Metric metric_;
  std::function<std::vector<int64_t>(size_t)> labels_;
  Interpreter reference_;
  bool known_ = false;  // what the float network does on every sample
  MetricCollector before_;
  std::vector<PairedScore> scores_;
  std::vector<at::Tensor> kept_;
  std::atomic<int64_t> kept_bytes_ = 0;
};

// Says which model it was that the command could not judge.
double scored(const char* which, const std::function<double()>& score) {
  try {
    return score();
  } catch (const Error& error) {
    if (!error.id().starts_with("eval_command.")) throw;
    const ErrorText& text = error.text();
    throw Error(error.code(), error.id(),
                {fmt::format("with the {} model {}", which, text.message), text.where, text.hint});
  }
}

DecidingMetric command_metric(const QuantizeJob& job, const Graph& reference,
                              const std::string& float_path) {
  const auto score = [&job](const Graph& graph) {
    Model model = job.model;
    model.graph = graph;
    job.console.progress().start("running --eval-command", 0);
    const double value = score_by_command(job.options, job.profile, model);
    job.console.progress().finish();
    return value;
  };
  auto before = std::make_shared<std::optional<double>>();
  const auto prepare = [&job, score, before, float_path, reference] {
    if (*before) return;
    *before = scored("float", [&] {
      return float_path.empty() ? score(reference)
                                : run_eval_command(job.options.eval_command, float_path);
    });
  };
  const auto read = [score, before, prepare](const Graph& candidate) {
    prepare();
    MetricReading reading;
    reading.before = *before;
    reading.after = scored("quantized", [&] { return score(candidate); });
    reading.drop = command_drop(**before, reading.after);
    reading.points = reading.drop == **before - reading.after;
    return reading;
  };
  return {"eval_command", "command " + job.options.eval_command, read, prepare};
}

// Of the first output, as metrics see it: without trailing dimensions of 1. Empty: not known.
Dims scores_dims(const Graph& graph) {
  if (graph.outputs().empty()) return {};
  const std::optional<Dims>& known = graph.value(graph.outputs()[0]).type.dims;
  if (!known) return {};
  Dims dims = *known;
  while (dims.size() > 2 && dims.back().size == 1) dims.pop_back();
  while (dims.size() < 2) dims.insert(dims.begin(), Dim::of(1));
  return dims;
}

// --max-drop without labels and --metric.
void judge_agreement(const QuantizeJob& job, const Graph& reference) {
  if (!job.options.metric.empty() || has_class_output(reference)) return;
  const Dims dims = scores_dims(reference);
  const std::string what = fmt::format(
      "agreement with the float model asks which of axis 1 is the largest, and the output is {}",
      escape_untrusted(dims_text(dims)));
  const std::string hint = "give --metric mse or mae, or --eval-command with a metric of your own";
  if (dims[1].size == 1) throw bad_usage("usage.metric", what + ": all agree", "--max-drop", hint);
  job.console.warn("quantize.metric", what + ", no list of classes", hint);
}

}  // namespace

bool has_class_output(const Graph& graph) {
  const Dims dims = scores_dims(graph);
  return dims.empty() || (dims.size() == 2 && dims[1].size != 1);
}

DecidingMetric deciding_metric(const QuantizeJob& job, const Graph& reference,
                               const std::string& float_path) {
  if (!job.options.eval_command.empty()) return command_metric(job, reference, float_path);
  auto paired = std::make_shared<PairedRun>(job, reference);
  if (paired->metric() == Metric::kAgreement) judge_agreement(job, reference);
  const std::string name(metric_name(paired->metric()));
  return {name,
          name + " " + data_key(job.options.eval, job.options.common.seed),
          [paired](const Graph& candidate) { return paired->read(candidate); },
          {}};
}

void finish_inserted(Graph& graph, const QuantizeOptions& options) {
  if (options.format == "qoperator") fuse_qoperators(graph);
  drop_leftovers(graph);
}

std::string drop_text(const MetricReading& reading) {
  std::string text =
      fmt::format("drop {:.2f} {}", 100 * reading.drop, reading.points ? "points" : "%");
  if (reading.interval)
    text += fmt::format(" (95 %: {:.2f} to {:.2f})", 100 * reading.interval->low,
                        100 * reading.interval->high);
  return text;
}

double command_drop(double before, double after) {
  const auto is_share = [](double x) { return x >= 0 && x <= 1; };
  const bool absolute = (is_share(before) && is_share(after)) || before == 0;
  return absolute ? before - after : (before - after) / std::fabs(before);
}

}  // namespace lathe
