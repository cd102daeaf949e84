#include "commands/quantize/equalize.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include <optional>
#include <utility>

#include "commands/quantize/encodings_file.h"
#include "commands/quantize/stage_time.h"
#include "ir/error.h"
#include "quantize/diagnose/output_sqnr.h"
#include "quantize/equalize/absorb_high_biases.h"
#include "quantize/equalize/equalize_channels.h"
#include "quantize/equalize/scaling_points.h"

namespace lathe {
namespace {

// Channels scaled to one height are clipped by inputs that reach higher than the samples do, and
// absorbed biases change the network there: faces in a detector calibrated without them cost 3 dB.
constexpr double kLeastGain = 3;  // dB
// A forecast below that, in dB, has never become so much.
constexpr double kLeastForecast = 2;

class Equalizer {
 public:
  Equalizer(const QuantizeJob& job, const IntegerRules& rules, CalibrationSamples& samples,
            Calibrated& calibrated, Equalized& result)
      : job_(job),
        rules_(rules),
        samples_(samples),
        graph_(job.model.graph),
        calibrated_(calibrated),
        result_(result) {}

  void run() {
    if (select_nodes(graph_, rules_).nodes.empty()) return;
    scale();
    absorb();
  }

 private:
  void note(const char* pass, nlohmann::json row) {
    row["pass"] = pass;
    result_.rows.push_back(std::move(row));
  }

  // Keeps `changed` where it is better by much.
  bool judge(const char* pass, Graph changed, nlohmann::json row, int changes) {
    if (!best_) best_ = errors_unseen(job_, rules_, samples_, graph_, calibrated_.statistics);
    row["output_sqnr_before_db"] = output_sqnr(*best_);
    row["samples"] = best_->samples;
    // Trying a form costs a fifth of all.
    if (output_sqnr(*best_) >= kGoodOutputsDb) {
      row["kept"] = false;
      note(pass, std::move(row));
      return false;
    }
    SplitStatistics after =
        measure_form(job_, rules_, samples_, changed, absorption_targets(changed),
                     "trying equalization", stage_check(job_));
    const CompareResult errors = errors_unseen(job_, rules_, samples_, changed, after);
    const bool kept =
        improves_outputs(*best_, errors) && output_sqnr(errors) >= output_sqnr(*best_) + kLeastGain;
    row["output_sqnr_after_db"] = output_sqnr(errors);
    row["kept"] = kept;
    note(pass, std::move(row));
    if (!kept) return false;
    best_ = errors;
    calibrated_ = with_ranges(job_, rules_, samples_, changed, std::move(after));
    job_.pipeline.run(pass, [&] {
      graph_ = std::move(changed);
      return changes;
    });
    return true;
  }

  void scale() {
    Graph changed = graph_;
    const std::vector<NodeId> points = insert_scaling_points(changed, select_nodes(graph_, rules_));
    if (find_scale_classes(changed).empty()) return;
    Statistics statistics = calibrated_.statistics.fitted;
    for (const NodeId id : points)
      if (const auto it = statistics.channels.find(name_of(changed, changed.node(id).input(0)));
          it != statistics.channels.end())
        statistics.channels.emplace(name_of(changed, changed.node(id).output(0)), it->second);
    const EqualizationPlan plan =
        plan_equalization(changed, select_nodes(changed, rules_), rules_, statistics, points);
    nlohmann::json row = {{"classes", plan.found},
                          {"scaled", plan.classes.size()},
                          {"predicted_noise_before", plan.noise_before},
                          {"predicted_noise_after", plan.noise_after}};
    const double forecast = 10 * std::log10(plan.noise_before / plan.noise_after);
    if (plan.classes.empty() || forecast < kLeastForecast)
      return note("equalize_channels", std::move(row));
    const auto scales = scales_of(changed, plan);
    const int changes = equalize_channels(changed, plan);
    row["multiplications"] = static_cast<int>(points.size()) - remove_idle_points(changed, points);
    if (judge("equalize_channels", std::move(changed), std::move(row), changes))
      result_.scales = scales;
  }

  void absorb() {
    const Statistics measured = calibrated_.statistics.fitted;
    Graph changed = graph_;
    const int changes = absorb_high_biases(changed, measured);
    if (changes == 0) return;
    if (!judge("absorb_high_biases", std::move(changed), {{"channels", changes}}, changes)) return;
    for (const auto& [id, axis] : absorption_targets(graph_))
      if (const auto it = measured.channels.find(graph_.value(id).name);
          it != measured.channels.end())
        result_.absorbed.insert(*it);
  }

  static const std::string& name_of(const Graph& graph, ValueId id) { return graph.value(id).name; }

  const QuantizeJob& job_;
  const IntegerRules& rules_;
  CalibrationSamples& samples_;
  Graph& graph_;
  Calibrated& calibrated_;
  std::optional<CompareResult> best_;
  Equalized& result_;
};

}  // namespace

bool equalizes(const QuantizeJob& job) {
  return !job.options.common.dry_run && job.options.effort != "fast" &&
         job.options.data != "random" && !gives_ranges(job.options);
}

std::map<ValueId, int64_t> channels_to_equalize(const Graph& graph, const IntegerRules& rules) {
  std::map<ValueId, int64_t> channels = absorption_targets(graph);
  Graph changed = graph;
  const std::vector<NodeId> points = insert_scaling_points(changed, select_nodes(graph, rules));
  std::map<ValueId, int64_t> targets = equalization_targets(changed, find_scale_classes(changed));
  for (const NodeId id : points)
    if (auto target = targets.extract(changed.node(id).output(0))) {
      target.key() = changed.node(id).input(0);
      targets.insert(std::move(target));
    }
  channels.merge(targets);
  return channels;
}

void equalize(const QuantizeJob& job, const IntegerRules& rules, CalibrationSamples& samples,
              Calibrated& calibrated, Equalized& equalized) {
  Equalizer(job, rules, samples, calibrated, equalized).run();
}

Equalized equalize_again(const QuantizeJob& job, const IntegerRules& rules,
                         const Statistics& saved) {
  Graph& graph = job.model.graph;
  const std::string& file = job.options.statistics;
  Equalized result;
  try {
    if (!saved.scales.empty()) {
      const std::vector<NodeId> points = insert_scaling_points(graph, select_nodes(graph, rules));
      const EqualizationPlan plan = plan_from_scales(graph, saved.scales);
      job.pipeline.run("equalize_channels", [&] { return equalize_channels(graph, plan); });
      remove_idle_points(graph, points);
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
