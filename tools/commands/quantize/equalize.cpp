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
    if (!find_scale_classes(graph_).empty()) scale();
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
    SplitStatistics after = measure_form(job_, rules_, samples_, changed,
                                         absorption_targets(changed), "trying equalization",
                                         stage_check(job_));
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
    const PrecisionPlan selection = select_nodes(graph_, rules_);
    const EqualizationPlan plan =
        plan_equalization(graph_, selection, rules_, calibrated_.statistics.fitted);
    nlohmann::json row = {{"classes", plan.found},
                          {"scaled", plan.classes.size()},
                          {"predicted_noise_before", plan.noise_before},
                          {"predicted_noise_after", plan.noise_after}};
    const double forecast = 10 * std::log10(plan.noise_before / plan.noise_after);
    if (plan.classes.empty() || forecast < kLeastForecast)
      return note("equalize_channels", std::move(row));
    Graph changed = graph_;
    const int changes = equalize_channels(changed, plan);
    const auto scales = scales_of(graph_, plan);
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
         job.options.data != "random" &&
         !gives_ranges(job.options);
}

std::map<ValueId, int64_t> channels_to_equalize(const Graph& graph) {
  std::map<ValueId, int64_t> channels = absorption_targets(graph);
  channels.merge(equalization_targets(graph, find_scale_classes(graph)));
  return channels;
}

void equalize(const QuantizeJob& job, const IntegerRules& rules, CalibrationSamples& samples,
              Calibrated& calibrated, Equalized& equalized) {
  Equalizer(job, rules, samples, calibrated, equalized).run();
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
