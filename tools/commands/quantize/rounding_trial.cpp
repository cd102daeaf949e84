#include "commands/quantize/rounding_trial.h"

#include <nlohmann/json.hpp>

#include "commands/quantize/stage_time.h"
#include "heavy/step_progress.h"
#include "ir/error.h"

namespace lathe {
namespace {

using nlohmann::json;

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

}  // namespace

bool rounds_by_data(const QuantizeJob& job) {
  const QuantizeOptions& options = job.options;
  if (options.effort == "fast") return false;
  // Random data say nothing of what a layer's inputs have in common.
  if (options.data == "random" && options.effort == "best")
    job.console.warn("quantize.effort", "random data say nothing of how to round weights",
                     "give real --data");
  return !options.data.empty() && options.data != "random";
}

std::vector<std::string> efforts_to_try(const QuantizeJob& job) {
  if (job.options.effort == "best") return {"balanced", "best"};
  return {"balanced"};
}

RoundingOptions rounding_options(const QuantizeJob& job, const std::string& effort) {
  RoundingOptions options;
  options.threads = job.threads;
  options.seed = job.options.common.seed;
  options.check = stage_check(job);
  options.progress = step_progress(job.console, "rounding", "layers");
  if (effort == "best") options.iterations = kIterations;
  return options;
}

json rounding_rows(const Graph& graph, const std::vector<RoundingRow>& rows) {
  json list = json::array();
  for (const RoundingRow& row : rows)
    list.push_back({{"node", escape_untrusted(graph.node(row.node).name)},
                    {"method", method_name(row.method)},
                    {"bias_correction", bias_name(row.bias)},
                    {"clipped", row.clipped},
                    {"rows", row.rows},
                    {"error_nearest", row.error_nearest},
                    {"error_after", row.error_after}});
  return list;
}

}  // namespace lathe
