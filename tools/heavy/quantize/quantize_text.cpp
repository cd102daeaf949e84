#include "heavy/quantize/quantize_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "heavy/error_rows.h"
#include "heavy/model_artifact.h"
#include "heavy/quantize/quantize_report.h"
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

}  // namespace

std::string quantize_text(const QuantizeOptions& options, const Report& report,
                          const QuantizedModel& quantized,
                          const std::optional<Evaluation>& evaluation, const Console& console) {
  const int64_t before = size_of(*report.model);
  const int64_t after = size_of(*report.model_out);
  const bool missed = evaluation && evaluation->missed;
  std::string text = fmt::format("{}: {}  {} ({} of {})\n",
                                 verdict(options, quantized, missed, console),
                                 options.common.output, bytes_text(after),
                                 size_left_text(before, after), bytes_text(before));
  if (evaluation) text += quality_text(*evaluation) + "\n";
  std::vector<std::vector<std::string>> rows = {{"precision", quantized.coverage},
                                                {"opset", opset_text(report)}};
  for (const auto& [name, value] : quantized.rows) rows.push_back({name, value});
  rows.push_back({"time", fmt::format("{:.1f} s", static_cast<double>(report.run.duration_ns.value_or(0)) / 1e9)});
  const auto& peak = report.memory->hwm_bytes;
  rows.push_back({"peak memory", peak ? bytes_text(*peak) : "not known"});
  text += "\n";
  text += table(rows);
  // Of a static model the rows above name the layers, each against its equalized float form.
  if (quantized.parts == nullptr && evaluation && !evaluation->result.layers.empty())
    text += "\nworst layers\n" + table(error_table(evaluation->result.layers, 5));
  if (!quantized.exceptions.empty())
    text += "\nleft in float\n" + exceptions_text(quantized.exceptions, 5);
  if (missed && quantized.parts == nullptr)
    text += "\nhint: only --mode static gives layers back to float; here --exclude does\n";
  if (options.eval.empty() && options.eval_command.empty())
    text += "\nhint: --eval DATA reports what it cost in accuracy\n";
  return text;
}

}  // namespace lathe
