#include "commands/quantize/equalize.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "heavy/model_data.h"
#include "ir/error.h"
#include "layers/held_samples.h"
#include "layers/layer_outputs.h"
#include "os/signals.h"
#include "quantize/diagnose/output_sqnr.h"
#include "quantize/equalize/absorb_high_biases.h"
#include "quantize/equalize/equalize_channels.h"
#include "run/compare.h"

namespace lathe {
namespace {

constexpr int64_t kMostSamples = 80;
constexpr size_t kTrialSamples = 16;
// Channels scaled to one height are clipped by inputs that reach higher than the samples do, and
// absorbed biases change the network there: faces in a detector calibrated without them cost 3 dB.
constexpr double kLeastGain = 3;  // dB

class Equalizer {
 public:
  Equalizer(const QuantizeJob& job, const IntegerRules& rules)
      : job_(job), rules_(rules), graph_(job.model.graph) {}

  Equalized run() {
    const bool scalable = !find_scale_classes(graph_).empty();
    if ((!scalable && absorption_targets(graph_).empty()) ||
        select_nodes(graph_, rules_).nodes.empty())
      return std::move(result_);
    const DataSet data =
        job_data(job_, job_.options.data,
                 std::min(kMostSamples, job_.options.samples.value_or(kMostSamples)));
    const SampleSource given = sample_source(data);
    const CarriedInputs carried = record_carried(graph_, given, throw_if_interrupted);
    const SampleSource all = without_carry(given, carried);
    source_ = fitted_samples(all);
    // What was not planned on: a channel may reach a bound there.
    trial_ = judged_samples(all, kTrialSamples);
    reference_ = std::make_unique<Interpreter>(graph_);
    if (scalable) scale();
    absorb();
    return std::move(result_);
  }

 private:
  void note(const char* pass, nlohmann::json row) {
    row["pass"] = pass;
    result_.rows.push_back(std::move(row));
  }

  SampleRunOptions run_options(const char* label, size_t count) {
    return sample_run(job_.threads, job_.console, label, count);
  }

  CompareResult trial(const Graph& candidate) {
    Graph graph = candidate;
    PrecisionPlan plan = select_nodes(graph, rules_);
    Statistics statistics;
    if (!rules_.weight_only)
      statistics = calibrate(Interpreter(graph), calibration_targets(graph, plan), source_,
                             run_options("trying equalization", source_.count));
    plan = plan_precision(graph, rules_, std::move(plan), statistics,
                          *observer_from_name(job_.options.observer));
    correct_bias(graph, plan, statistics);
    insert_qdq(graph, plan);
    CompareOptions compare;
    compare.layers = false;
    compare.run = run_options("trying equalization", trial_.count);
    return compare_graphs(*reference_, Interpreter(graph), trial_, compare);
  }

  const CompareResult& best() {
    if (!best_) best_ = trial(graph_);
    return *best_;
  }

  // Keeps `changed` where its trial is better.
  bool judge(const char* pass, Graph changed, nlohmann::json row, int changes) {
    const CompareResult before = best();
    const CompareResult after = trial(changed);
    const bool kept =
        improves_outputs(before, after) && output_sqnr(after) >= output_sqnr(before) + kLeastGain;
    row["output_sqnr_before_db"] = output_sqnr(before);
    row["output_sqnr_after_db"] = output_sqnr(after);
    row["samples"] = trial_.count;
    row["kept"] = kept;
    note(pass, std::move(row));
    if (!kept) return false;
    best_ = after;
    job_.pipeline.run(pass, [&] {
      graph_ = std::move(changed);
      return changes;
    });
    return true;
  }

  void scale() {
    const PrecisionPlan selection = select_nodes(graph_, rules_);
    CalibrationTargets targets;
    targets.channels = equalization_targets(graph_, find_scale_classes(graph_));
    const Statistics statistics = calibrate(Interpreter(graph_), targets, source_,
                                            run_options("measuring channels", source_.count));
    const EqualizationPlan plan = plan_equalization(graph_, selection, rules_, statistics);
    nlohmann::json row = {{"classes", plan.found},
                          {"scaled", plan.classes.size()},
                          {"predicted_noise_before", plan.noise_before},
                          {"predicted_noise_after", plan.noise_after}};
    if (plan.classes.empty()) return note("equalize_channels", std::move(row));
    Graph changed = graph_;
    const int changes = equalize_channels(changed, plan);
    const auto scales = scales_of(graph_, plan);
    if (judge("equalize_channels", std::move(changed), std::move(row), changes))
      result_.scales = scales;
  }

  void absorb() {
    CalibrationTargets targets;
    targets.channels = absorption_targets(graph_);
    if (targets.channels.empty()) return;
    const Statistics statistics = calibrate(Interpreter(graph_), targets, source_,
                                            run_options("measuring channels", source_.count));
    Graph changed = graph_;
    const int changes = absorb_high_biases(changed, statistics);
    if (changes == 0) return;
    if (judge("absorb_high_biases", std::move(changed), {{"channels", changes}}, changes))
      result_.absorbed = statistics.channels;
  }

  const QuantizeJob& job_;
  const IntegerRules& rules_;
  Graph& graph_;
  Equalized result_;
  SampleSource source_;
  SampleSource trial_;
  std::unique_ptr<Interpreter> reference_;
  std::optional<CompareResult> best_;
};

}  // namespace

Equalized equalize(const QuantizeJob& job, const IntegerRules& rules) {
  if (job.options.common.dry_run) return {};
  if (job.options.effort == "fast" || job.options.data == "random") return {};
  return Equalizer(job, rules).run();
}

Equalized equalize_again(const QuantizeJob& job, const Statistics& saved) {
  Graph& graph = job.model.graph;
  const std::string& file = job.options.statistics;
  Equalized result;
  try {
    if (!saved.scales.empty()) {
      const EqualizationPlan plan = plan_from_scales(graph, saved.scales);
      job.pipeline.run("equalize_channels", [&] { return equalize_channels(graph, plan); });
      result.rows.push_back(
          {{"pass", "equalize_channels"}, {"scaled", plan.classes.size()}, {"from", file}});
    }
    if (!saved.channels.empty()) {
      job.pipeline.run("absorb_high_biases", [&] { return absorb_high_biases(graph, saved); });
      result.rows.push_back({{"pass", "absorb_high_biases"}, {"from", file}});
    }
  } catch (const Error& error) {
    throw error.within(escape_untrusted(file));
  }
  return result;
}

void note_equalization(const Equalized& equalized, Statistics& statistics) {
  statistics.scales = equalized.scales;
  statistics.channels = equalized.absorbed;
}

}  // namespace lathe
