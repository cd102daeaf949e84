#include "commands/quantize/improve_weights.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

#include "commands/quantize/encodings_file.h"
#include "commands/quantize/rounding_trial.h"
#include "commands/quantize/stage_time.h"
#include "passes/passes.h"
#include "quantize/diagnose/output_sqnr.h"
#include "quantize/weights/round_stored_weights.h"
#include "quantize/weights/round_weights.h"

namespace lathe {
namespace {

using nlohmann::json;

// A float graph with weights on integers, and the plan that makes integers of them.
template <class Plan>
struct Candidate {
  Graph graph;
  Plan plan;
};

// Where no layer comes nearer to its outputs, a few samples that say the whole does are luck.
constexpr size_t kFewJudges = 8;
bool gains(const RoundingRow& row) { return row.error_after < 0.95 * row.error_nearest; }
bool is_luck(const CompareResult& errors, const std::vector<RoundingRow>& rows) {
  return errors.samples < kFewJudges && std::ranges::none_of(rows, gains);
}

// Leaves the best of `start` and what the efforts make of the job's graph in `start`.
// `round`(candidate, effort, output SQNR of `start`) edits one; `finished`(candidate) is the graph as it will run.
template <class Plan, class Round, class Finished>
json best_rounding(const QuantizeJob& job, const CalibrationSamples& samples,
                   Candidate<Plan>& start, Plan plan, const Round& round,
                   const Finished& finished) {
  const Graph reference = job.model.graph;
  CompareResult best = samples.judge_rounding(finished(start));
  json result = {{"kept", false},
                 {"output_sqnr_before_db", output_sqnr(best)},
                 {"output_sqnr_after_db", output_sqnr(best)}};
  json tried = json::array();
  for (const std::string& effort : efforts_to_try(job)) {
    Candidate<Plan> candidate{reference, plan};
    std::vector<RoundingRow> rows;
    if (!within_time(job, effort + " rounding", [&] {
          rows = round(candidate, effort, output_sqnr(best));
        }))
      break;
    const CompareResult errors = samples.judge_rounding(finished(candidate));
    const bool kept = improves_outputs(best, errors) && !is_luck(errors, rows);
    tried.push_back({{"effort", effort}, {"output_sqnr_db", output_sqnr(errors)}, {"kept", kept}});
    result["output_sqnr_after_db"] = output_sqnr(errors);
    result["layers"] = rounding_rows(reference, rows);
    if (!kept) continue;
    result["kept"] = true;
    start = std::move(candidate);
    best = errors;
  }
  if (result["kept"]) result["output_sqnr_after_db"] = output_sqnr(best);
  result["tried"] = std::move(tried);
  result["samples"] = best.samples;  // that judged
  return result;
}

}  // namespace

json improve_weights(const QuantizeJob& job, const IntegerRules& rules,
                     const CalibrationSamples* samples, PrecisionPlan& plan,
                     const Statistics& statistics) {
  Graph& graph = job.model.graph;
  Candidate<PrecisionPlan> chosen{graph, plan};
  const int corrected = correct_bias(chosen.graph, chosen.plan, statistics);
  json result = json::object();
  if (samples != nullptr && rounds_by_data(job) && !samples->are_alike()) {
    const auto round = [&](Candidate<PrecisionPlan>& candidate, const std::string& effort,
                           double sqnr_db) {
      RoundingOptions options = rounding_options(job, effort);
      options.clip =
          !rules.power_of_two && !rules.pair_sums_saturate && !gives_ranges(job.options);
      return round_weights(graph, candidate.graph, candidate.plan, samples->rounded(sqnr_db), options);
    };
    const auto finished = [](const Candidate<PrecisionPlan>& candidate) {
      Graph inserted = candidate.graph;
      insert_qdq(inserted, candidate.plan);
      return inserted;
    };
    result = best_rounding(job, *samples, chosen, plan, round, finished);
  } else if (job.options.effort != "fast" && job.options.data.empty()) {
    job.console.warn("quantize.effort", "without --data weights are rounded to nearest",
                     "give --data beside --statistics, or --effort fast");
  }
  const bool kept = result.value("kept", false);
  job.pipeline.run(kept ? "round_weights" : "correct_bias", [&] {
    graph = std::move(chosen.graph);
    plan = std::move(chosen.plan);
    return kept ? static_cast<int>(result["layers"].size()) : corrected;
  });
  return result;
}

json improve_stored_weights(const QuantizeJob& job, WeightStoragePlan& plan) {
  if (!rounds_by_data(job)) return json::object();
  Graph& graph = job.model.graph;
  const CalibrationSamples samples(job, calibration_samples(job.options.samples, job.options.data));
  Candidate<WeightStoragePlan> chosen{graph, plan};
  const auto round = [&](Candidate<WeightStoragePlan>& candidate, const std::string& effort,
                         double sqnr_db) {
    return round_stored_weights(graph, candidate.graph, candidate.plan, samples.rounded(sqnr_db),
                                rounding_options(job, effort));
  };
  const auto finished = [](const Candidate<WeightStoragePlan>& candidate) {
    Graph stored = candidate.graph;
    StoredNoise noise;
    store_integer_weights(stored, candidate.plan, noise);
    return stored;
  };
  json result = best_rounding(job, samples, chosen, plan, round, finished);
  if (!result["kept"]) return result;
  job.pipeline.run("round_stored_weights", [&] {
    graph = std::move(chosen.graph);
    plan = std::move(chosen.plan);
    return static_cast<int>(result["layers"].size());
  });
  return result;
}

}  // namespace lathe
