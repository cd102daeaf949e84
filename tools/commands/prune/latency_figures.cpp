#include "commands/prune/latency_figures.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "commands/bench/rows.h"
#include "comparison/comparison.h"
#include "heavy/compile_target.h"
#include "heavy/make_engine.h"
#include "heavy/model_data.h"
#include "ir/error.h"
#include "names/engines.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "profile_device.h"
#include "report/report.h"
#include "roofline/estimate.h"
#include "run/interpreter_engine.h"
#include "statistics/clock.h"
#include "torchscript/emit/torchscript_engine.h"
#include "tracing/op_profile_cost.h"

namespace lathe {
namespace {

using nlohmann::json;

// Executions of each network that the fewest pairs of blocks take which give an interval.
constexpr double kFewestRuns = 32;
constexpr size_t kPairs = 40;
constexpr size_t kMostPairs = 200;
// What fast networks are given for pairs beyond kPairs.
constexpr double kPairsNs = 3e8;

std::unique_ptr<Engine> engine_for(const std::string& name, const Graph& graph,
                                   const std::vector<Tensor>& sample, const Profile& profile) {
  if (name == kNativeEngine) return make_native_engine(graph, profile);
  if (name == kInterpreterEngine) return std::make_unique<InterpreterEngine>(graph);
  TorchScriptOptions options;
  options.engine = quantized_engine(profile);
  options.example = sample;
  return std::make_unique<TorchScriptEngine>(graph, options);
}

// How long the second execution takes; the first one allocates, and LibTorch specializes.
int64_t warm_ns(Engine& engine, const std::vector<Tensor>& sample) {
  engine.prepare({sample});
  engine.execute(0);
  const int64_t start = now_ns();
  engine.execute(1);
  return now_ns() - start;
}

// `both_ns`: one execution of each.
ComparisonOptions comparison_options(double both_ns, int64_t share, uint64_t seed) {
  ComparisonOptions options;
  const auto most = static_cast<double>(share);
  options.max_ns = static_cast<int64_t>(std::clamp(kFewestRuns * both_ns, most, 3 * most));
  const double fitting =
      kPairsNs / (both_ns * static_cast<double>(options.block_iterations + 1) + 1);
  options.pairs = static_cast<size_t>(
      std::clamp(fitting, static_cast<double>(kPairs), static_cast<double>(kMostPairs)));
  options.looks = 1;  // one look: the interval is the 95 % one
  options.seed = seed;
  options.warm_up.min_iterations = 3;
  options.warm_up.min_ns = options.max_ns / 40;
  options.warm_up.max_ns = options.max_ns / 20;
  return options;
}

// An engine's executions, and how long each took: what both took in turns can be held against each
// other, whatever else the machine did.
class Timed {
 public:
  explicit Timed(Engine& engine) : engine_(engine) {}

  Runnable runnable() {
    return [this](size_t iteration) {
      const int64_t start = now_ns();
      engine_.execute(iteration);
      durations_ns_.push_back(static_cast<double>(now_ns() - start));
    };
  }
  /// The 15th percentile: about what the median of the blocks' minima is, which the ratio is of.
  double undisturbed_ns() const {
    std::vector<double> sorted = durations_ns_;
    const size_t rank = sorted.size() * 15 / 100;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(rank),
                     sorted.end());
    return sorted[rank];
  }
  double least_ns() const { return *std::min_element(durations_ns_.begin(), durations_ns_.end()); }

 private:
  Engine& engine_;
  std::vector<double> durations_ns_;
};

void measure(Engine& before, Engine& after, const std::vector<Tensor>& sample, int64_t share,
             uint64_t seed, LatencyRow& row) {
  const auto both = static_cast<double>(warm_ns(before, sample) + warm_ns(after, sample));
  throw_if_interrupted();
  Timed dense(before);
  Timed pruned(after);
  Conduct conduct;
  conduct.interrupted = [] { return interrupted(); };
  const Comparison comparison = compare_runs(dense.runnable(), pruned.runnable(),
                                             comparison_options(both, share, seed), conduct);
  throw_if_interrupted();
  row.before_ns = dense.undisturbed_ns();
  row.after_ns = pruned.undisturbed_ns();
  if (!comparison.ratio) {
    // Of what else runs on the machine the fastest ones carry least.
    row.speedup = dense.least_ns() / pruned.least_ns();
    row.note = "too few alternating runs for an interval: the ratio of the fastest ones";
    return;
  }
  row.speedup = 1 / *comparison.ratio;
  if (!comparison.interval) return;
  row.ci95 = Interval{1 / comparison.interval->high, 1 / comparison.interval->low};
  if (row.ci95->low <= 1 && row.ci95->high >= 1)
    row.note = "no difference that could be told";
  else if (row.ci95->high < 1)
    row.note = "slower than before";
}

LatencyRow measured_row(const std::string& name, const Graph& before, const Graph& after,
                        const std::vector<Tensor>& sample, const Profile& profile,
                        const LatencyOptions& options, int64_t share) {
  LatencyRow row;
  row.engine = name;
  row.threads = options.threads;
  try {
    const std::unique_ptr<Engine> dense = engine_for(name, before, sample, profile);
    throw_if_interrupted();
    const std::unique_ptr<Engine> pruned = engine_for(name, after, sample, profile);
    throw_if_interrupted();
    measure(*dense, *pruned, sample, share, options.seed, row);
  } catch (const Error& error) {
    if (error.code() == ExitCode::kInterrupted || error.code() == ExitCode::kTerminated) throw;
    row = {};
    row.engine = name;
    row.threads = options.threads;
    row.note = "cannot run it: " + error.text().message;
  }
  return row;
}

LatencyRow simulated_row(const Graph& before, const Graph& after, const std::vector<Tensor>& sample,
                         const Profile& profile) {
  LatencyRow row;
  row.engine = profile.name;
  row.simulated = true;
  std::vector<Shape> shapes;
  for (const Tensor& input : sample) shapes.push_back(input.shape());
  const DeviceRates rates = profile_rates(profile);
  const EstimatedLatency dense = estimate_latency(with_input_shapes(before, shapes), rates);
  const EstimatedLatency pruned = estimate_latency(with_input_shapes(after, shapes), rates);
  row.before_ns = dense.ns;
  row.after_ns = pruned.ns;
  if (dense.ns && pruned.ns && *pruned.ns > 0) row.speedup = *dense.ns / *pruned.ns;
  row.note = dense.ns && pruned.ns ? fmt::format("simulated from the profile's {} rates",
                                                 escape_untrusted(profile.rates->source))
                                   : "cannot be estimated: " + (dense.ns ? pruned : dense).reason;
  return row;
}

}  // namespace

std::vector<Tensor> latency_sample(const DataSet* data, const Model& model,
                                   const CommonOptions& common, Console& console) {
  if (data != nullptr) return data->sample(0);
  return open_data_for("random", model, 1, common, console).sample(0);
}

std::vector<LatencyRow> latency_figures(const Graph& before, const Graph& after,
                                        const std::vector<Tensor>& sample, const Profile& profile,
                                        const LatencyOptions& options, Console& console) {
  std::vector<LatencyRow> rows;
  const auto count = static_cast<int64_t>(options.engines.size());
  Progress& progress = console.progress();
  progress.start("measuring latency", count, "engines");
  for (const std::string& name : options.engines) {
    progress.update(static_cast<int64_t>(rows.size()), name);
    progress.pause();
    rows.push_back(
        measured_row(name, before, after, sample, profile, options, options.max_ns / count));
    progress.resume();
  }
  progress.finish();
  if (profile.rates && !runs_like_host(profile))
    rows.push_back(simulated_row(before, after, sample, profile));
  return rows;
}

std::vector<LatencyRow> report_latency(CommandRun& run, const Graph& before, const Graph& after,
                                       const DataSet* data, const Model& model, int threads,
                                       std::vector<std::string>& notes) {
  LatencyOptions options;
  options.threads = threads;
  options.seed = run.common.seed;
  std::vector<LatencyRow> rows;
  try {
    const std::vector<Tensor> sample = latency_sample(data, model, run.common, run.console);
    rows = latency_figures(before, after, sample, run.profile, options, run.console);
  } catch (const Error& error) {
    // The model is written; what it is timed on may not be known.
    if (error.code() == ExitCode::kInterrupted || error.code() == ExitCode::kTerminated) throw;
    notes.push_back(std::string("not timed: ") + error.what());
  }
  run.report.details["latency"] = latency_json(rows);
  return rows;
}

json latency_json(const std::vector<LatencyRow>& rows) {
  json out = json::array();
  for (const LatencyRow& row : rows) {
    json each{
        {"engine", escape_untrusted(row.engine)}, {"simulated", row.simulated}, {"note", row.note}};
    put_or_reason(each, "threads", row.threads > 0 ? std::optional(row.threads) : std::nullopt,
                  "as the profile's device runs it");
    put_or_reason(each, "before_ns", row.before_ns, row.note);
    put_or_reason(each, "after_ns", row.after_ns, row.note);
    put_or_reason(each, "speedup", row.speedup, row.note);
    each["ci95"] = interval_json(row.ci95);
    if (!row.ci95)
      each["ci95_reason"] = row.simulated      ? "simulated"
                            : row.note.empty() ? "too few runs"
                                               : row.note;
    out.push_back(std::move(each));
  }
  return out;
}

std::vector<std::vector<std::string>> latency_table(const std::vector<LatencyRow>& rows) {
  const auto duration = [](const std::optional<double>& ns) {
    return ns ? duration_text(*ns) : std::string("-");
  };
  std::vector<std::vector<std::string>> out{{"engine", "before", "after", "speedup", ""}};
  for (const LatencyRow& row : rows) {
    std::string speedup = row.speedup ? fmt::format("{:.2f}x", *row.speedup) : "-";
    if (row.ci95) speedup += fmt::format(" ({:.2f} to {:.2f})", row.ci95->low, row.ci95->high);
    out.push_back({escape_untrusted(row.engine), duration(row.before_ns), duration(row.after_ns),
                   std::move(speedup), row.note});
  }
  return out;
}

}  // namespace lathe
