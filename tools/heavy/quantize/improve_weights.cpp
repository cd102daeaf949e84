#include "heavy/quantize/improve_weights.h"

#include "heavy/model_data.h"
#include "heavy/quantize/output_sqnr.h"
#include "heavy/step_progress.h"
#include "ir/error.h"
#include "layers/layer_outputs.h"
#include "os/signals.h"
#include "passes/passes.h"
#include "quantize/round_weights.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kJudgedSamples = 24;
constexpr int kIterations = 600;  // of learned rounding

const char* method_name(RoundingMethod method) {
  switch (method) {
    case RoundingMethod::kNearest: return "nearest";
    case RoundingMethod::kCompensated: return "compensated";
    case RoundingMethod::kFitted: return "fitted";
    default: return "learned";
  }
}

const char* bias_name(BiasShift bias) {
  if (bias == BiasShift::kNone) return "none";
  return bias == BiasShift::kOwn ? "analytical" : "empirical";
}

json rows_of(const Graph& graph, const std::vector<RoundingRow>& rows) {
  json list = json::array();
  for (const RoundingRow& row : rows)
    list.push_back({{"node", escape_untrusted(graph.node(row.node).name)},
                    {"method", method_name(row.method)},
                    {"bias_correction", bias_name(row.bias)},
                    {"rows", row.rows},
                    {"error_nearest", row.error_nearest},
                    {"error_after", row.error_after}});
  return list;
}

// The samples that nothing was fitted to; with carried values, or too few, the first ones.
SampleSource judged_samples(const SampleSource& all) {
  SampleSource judged = all;
  std::vector<size_t> held;
  for (size_t i = 0; i < all.count && held.size() < kJudgedSamples; ++i)
    if (is_held_out(i)) held.push_back(i);
  if (!all.carry.empty() || held.empty()) {
    judged.count = std::min(all.count, 4 * kJudgedSamples);
    return judged;
  }
  judged.count = held.size();
  judged.sample = [held, sample = all.sample](size_t i) { return sample(held[i]); };
  return judged;
}

struct Candidate {
  Graph graph;
  PrecisionPlan plan;
};

CompareResult errors_of(const QuantizeJob& job, const Interpreter& reference,
                        const Candidate& candidate, const SampleSource& source) {
  Graph graph = candidate.graph;
  insert_qdq(graph, candidate.plan);
  CompareOptions compare;
  compare.layers = false;
  compare.run = sample_run(job.threads, job.console, "comparing roundings", source.count);
  return compare_graphs(reference, Interpreter(graph), source, compare);
}

}  // namespace

json improve_weights(const QuantizeJob& job, PrecisionPlan& plan, const Statistics& statistics) {
  Graph& graph = job.model.graph;
  const auto correct = [&] { return correct_bias(graph, plan, statistics); };
  // Random data say nothing of what a layer's inputs have in common.
  if (job.options.effort == "fast" || job.options.data.empty() || job.options.data == "random") {
    if (job.options.effort != "fast" && job.options.data.empty())
      job.console.warn("quantize.effort", "without --data weights are rounded to nearest",
                       "give --data beside --statistics, or --effort fast");
    if (job.options.effort == "best" && job.options.data == "random")
      job.console.warn("quantize.effort", "random data say nothing of how to round weights",
                       "give real --data");
    job.pipeline.run("correct_bias", correct);
    return json::object();
  }
  const DataSet data = open_data_for(job.options.data, job.model, std::max<int64_t>(1, statistics.samples),
                                     job.options.common, job.console);
  const SampleSource source = sample_source(data);
  const Graph reference = graph;
  RoundingOptions options;
  options.threads = job.threads;
  options.seed = job.options.common.seed;
  options.check = throw_if_interrupted;
  options.progress = step_progress(job.console, "rounding", "layers");
  if (job.options.effort == "best") options.iterations = kIterations;
  Candidate rounded{graph, plan};
  const std::vector<RoundingRow> rows =
      round_weights(reference, rounded.graph, rounded.plan, source, options);
  Candidate plain{graph, plan};
  correct_bias(plain.graph, plain.plan, statistics);

  const SampleSource judged = judged_samples(source);
  const Interpreter judge(reference);
  const CompareResult before = errors_of(job, judge, plain, judged);
  const CompareResult after = errors_of(job, judge, rounded, judged);
  const bool kept = improves_outputs(before, after);
  if (kept) {
    job.pipeline.run("round_weights", [&] {
      graph = std::move(rounded.graph);
      plan = std::move(rounded.plan);
      return static_cast<int>(rows.size());
    });
  } else {
    job.pipeline.run("correct_bias", correct);
  }
  return {{"kept", kept},
          {"output_sqnr_before_db", output_sqnr(before)},
          {"output_sqnr_after_db", output_sqnr(after)},
          {"samples", judged.count},
          {"layers", rows_of(reference, rows)}};
}

}  // namespace lathe
