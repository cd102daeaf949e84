#include "commands/quantize/quantize_text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

#include "commands/quantize/quantize_report.h"
#include "heavy/error_rows.h"
#include "heavy/model_artifact.h"
#include "os/quantity.h"

namespace lathe {
namespace {

std::string verdict(const QuantizeOptions& options, const QuantizedModel& quantized, bool missed,
                    const Console& console) {
  if (missed) return console.bad(fmt::format("FAIL --max-drop {} missed", options.max_drop));
  if (!quantized.changed) return console.bold("nothing quantized, copy written");
  return console.good(fmt::format("{} model written", quantized.kind));
}

// Weights may lie in files beside the model's.
int64_t size_of(const ModelFacts& model) {
  return std::max(model.file_bytes, model.weights_bytes.value_or(0));
}

std::string opset_text(const Report& report) {
  if (!report.model_out->opset) return "-";
  return report.model->opset
             ? fmt::format("{} (was {})", *report.model_out->opset, *report.model->opset)
             : std::to_string(*report.model_out->opset);
}

std::string figure_text(const nlohmann::json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_number() ? decibel_text(found->get<double>()) : "-";
}

// Work that took its time and is not in the file.
std::string rejected_text(const QuantizedModel& quantized) {
  std::string text;
  const auto add = [&](const std::string& what, const nlohmann::json& row) {
    if (!row.is_object() || row.value("kept", true) ||
        row.value("output_sqnr_before_db", 0.0) == row.value("output_sqnr_after_db", 0.0))
      return;
    text += fmt::format("{}{} (output SQNR {} → {})", text.empty() ? "" : " · ", what,
                        figure_text(row, "output_sqnr_before_db"),
                        figure_text(row, "output_sqnr_after_db"));
  };
  const nlohmann::json& details = quantized.details;
  if (details.contains("equalization"))
    for (const nlohmann::json& row : details["equalization"])
      add(row.value("pass", std::string()), row);
  if (details.contains("rounding")) add("rounding layer by layer", details["rounding"]);
  return text;
}

}  // namespace

std::string quantize_text(const QuantizeOptions& options, const Report& report,
                          const QuantizedModel& quantized,
                          const std::optional<Evaluation>& evaluation, const Console& console) {
  const int64_t before = size_of(*report.model);
  const int64_t after = size_of(*report.model_out);
  const bool missed = evaluation && evaluation->missed;
  std::string text = fmt::format(
      "{}: {}  {} ({} of {})\n", verdict(options, quantized, missed, console),
      options.common.output, bytes_text(after), size_left_text(before, after), bytes_text(before));
  if (evaluation) text += quality_text(*evaluation) + "\n";
  std::vector<std::vector<std::string>> rows = {{"precision", quantized.coverage},
                                                {"opset", opset_text(report)}};
  if (const std::string rejected = rejected_text(quantized); !rejected.empty())
    rows.push_back({"not kept", rejected});
  for (const auto& [name, value] : quantized.rows) rows.push_back({name, value});
  rows.push_back(
      {"time",
       fmt::format("{:.1f} s", static_cast<double>(report.run.duration_ns.value_or(0)) / 1e9)});
  const auto& peak = report.memory->hwm_bytes;
  rows.push_back({"peak memory", peak ? bytes_text(*peak) : "not known"});
  text += "\n";
  text += table(rows);
  // Of a static model the rows above name the layers, each against its equalized float form.
  if (quantized.parts == nullptr && evaluation && !evaluation->result.layers.empty())
    text += "\nworst layers\n" + table(error_table(evaluation->result.layers, 5));
  if (!quantized.exceptions.empty())
    text += "\nleft in float\n" + exceptions_text(quantized.exceptions, 5);
  if (options.eval.empty() && options.eval_command.empty())
    text += "\nhint: --eval DATA reports what it cost in accuracy\n";
  return text;
}

}  // namespace lathe
