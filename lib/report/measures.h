// The figures of a report as one flat list, for the formats of other tools.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lathe {

/// One figure of one case. `unit` is one of "ns", "items/s", "bytes", "ratio", "dB" and "".
struct Measure {
  std::string series;  // case_name() of the case; the model's name for figures of a file
  std::string model;
  std::string name;  // "latency" (the median), "p95", "throughput", "file_size", "top1", "speedup"
  std::string unit;
  double value = 0;
  std::optional<std::pair<double, double>> ci95;
  bool bigger_is_better = false;
};

/// File name of the model that `row` (an element of report.cases) measured.
std::string case_model(const nlohmann::json& report, const nlohmann::json& row);
/// "m.onnx/single": the same in every run of the same benchmark, and unlike other cases' names.
std::string case_name(const nlohmann::json& report, const nlohmann::json& row);
/// The model that `model` (of the report) was compared with or made from, null when there is none.
const nlohmann::json& model_before(const nlohmann::json& report);
/// The model that the report is about: what came out, or else what went in; null for several.
const nlohmann::json& model_after(const nlohmann::json& report);

/// Why the two models of one of comparison.cases differ, weightiest first (its `blame`).
struct BlameSentence {
  std::string text;                // "14 inserted QuantizeLinear cost 31 %"
  std::optional<double> delta_ns;  // of a run; above 0: slower
};
std::vector<BlameSentence> blame_sentences(const nlohmann::json& row);

/// Absent figures are left out. In the order of the report.
std::vector<Measure> report_measures(const nlohmann::json& report);

/// Of a case: "load_ns" and "first_inference_ns", and the peak of memory, as an application pays
/// them; null where the native engine could not be measured as deployed.
const nlohmann::json& start_costs(const nlohmann::json& row);
const nlohmann::json& peak_bytes(const nlohmann::json& row);
/// Where a case's "flash_bytes" and "ram_bytes" stand: counted on a board, or reckoned.
const nlohmann::json& device_memory(const nlohmann::json& row);

/// False for metrics that grow with the error (mse, mae).
bool metric_grows_with_quality(const std::string& metric);
/// True for shares that people read in points (top1, agreement).
bool metric_is_share(const std::string& metric);

}  // namespace lathe
