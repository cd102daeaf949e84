#include "commands/compare/compare_arithmetic.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "console.h"
#include "heavy/error_rows.h"
#include "heavy/model_data.h"
#include "ir/error.h"

namespace lathe {
namespace {

struct Totals {
  SaturationCount count;
  size_t layers = 0;      // with int8 weights whose sums may saturate
  size_t saturating = 0;  // of them, those that did
  size_t left_out = 0;
};

Totals totals_of(const std::vector<PairSumRow>& rows) {
  Totals totals;
  for (const PairSumRow& row : rows) {
    totals.count.merge(row.count);
    totals.layers += row.bound.possible() ? 1 : 0;
    totals.saturating += row.count.saturating > 0 ? 1 : 0;
    totals.left_out += row.bound.possible() && !row.simulated ? 1 : 0;
  }
  return totals;
}

std::string share_text(const SaturationCount& count) {
  return count.share() >= 0.001 ? fmt::format("{:.2f} %", 100 * count.share())
                                : fmt::format("{:.2g} %", 100 * count.share());
}

std::vector<PairSumRow> worst(std::vector<PairSumRow> rows, size_t count) {
  std::erase_if(rows, [](const PairSumRow& row) { return row.count.saturating == 0; });
  std::stable_sort(rows.begin(), rows.end(), [](const PairSumRow& a, const PairSumRow& b) {
    return a.count.share() > b.count.share();
  });
  if (rows.size() > count) rows.resize(count);
  return rows;
}

nlohmann::json layer_rows(const std::vector<PairSumRow>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const PairSumRow& row : rows)
    list.push_back({{"node", escape_untrusted(row.node)},
                    {"node_type", row.node_type},
                    {"simulated", row.simulated},
                    {"possible", row.bound.possible()},
                    {"bound", row.bound.largest},
                    {"pairs", row.count.pairs},
                    {"saturating", row.count.saturating},
                    {"share", row.count.share()}});
  return list;
}

decltype(RunOptions::compute) hook_of(const PairSumArithmetic* arithmetic) {
  if (arithmetic == nullptr) return {};
  return [arithmetic](const Node& node, const std::vector<RuntimeValue>& inputs) {
    return arithmetic->compute(node, inputs);
  };
}

}  // namespace

ComparedArithmetic::ComparedArithmetic(const std::string& name, const Graph& first,
                                       const Graph& second)
    : name_(name) {
  if (name_ == "maddubs") {
    first_ = std::make_unique<PairSumArithmetic>(first);
    second_ = std::make_unique<PairSumArithmetic>(second);
  }
  if (name_ != "power-of-two") return;
  const std::vector<std::string> misfits = not_power_of_two(second, 3);
  if (misfits.empty()) return;
  std::vector<std::string> shown;
  for (const std::string& misfit : misfits) shown.push_back(escape_untrusted(misfit, 60));
  throw bad_input("compare.power_of_two",
                  "scales are no powers of two or zero points are not 0: this device cannot run it",
                  fmt::format("{}", fmt::join(shown, ", ")),
                  "quantize with a profile whose configs have \"power_of_two\": true, as esp32");
}

void ComparedArithmetic::apply(CompareOptions& options) const {
  options.reference_compute = hook_of(first_.get());
  options.candidate_compute = hook_of(second_.get());
  if (name_ == "power-of-two")
    options.reference_compute = options.candidate_compute = round_half_up;
}

bool ComparedArithmetic::changed_something() const {
  return second_ != nullptr && totals_of(second_->rows()).count.saturating > 0;
}

std::string ComparedArithmetic::text(const CompareResult& device,
                                     const CompareResult* exact) const {
  if (second_ == nullptr) return {};
  const std::vector<PairSumRow> rows = second_->rows();
  const Totals totals = totals_of(rows);
  if (rows.empty()) return "\n  maddubs: no product with int8 weights; nothing can saturate\n";
  if (totals.count.saturating == 0)
    return fmt::format(
        "\n  maddubs: none of {} sums of two products saturated; in {} of {} layers "
        "they could\n",
        totals.count.pairs, totals.layers, rows.size());
  std::string text =
      fmt::format("\n  maddubs: {} of {} sums of two products saturate ({}), in {} of {} layers\n",
                  totals.count.saturating, totals.count.pairs, share_text(totals.count),
                  totals.saturating, rows.size());
  if (totals.left_out > 0)
    text +=
        fmt::format("  {} layers with stacked matrices were computed exactly\n", totals.left_out);
  std::vector<std::vector<std::string>> lines = {{"layer", "op", "saturating", "bound"}};
  for (const PairSumRow& row : worst(rows, 5))
    lines.push_back({escape_untrusted(row.node, 60), row.node_type, share_text(row.count),
                     std::to_string(row.bound.largest)});
  text += table(lines);
  if (exact == nullptr) return text;
  bool worse = false;  // by what one would want back
  for (size_t i = 0; i < exact->outputs.size(); ++i)
    worse = worse || exact->outputs[i].sums.sqnr_db() > device.outputs[i].sums.sqnr_db() + 0.5;
  for (size_t i = 0; i < exact->outputs.size() && i < 3; ++i)
    text += fmt::format("  {}: {} with exact sums, {} on this device\n",
                        escape_untrusted(exact->outputs[i].value, 60),
                        decibel_text(exact->outputs[i].sums.sqnr_db()),
                        decibel_text(device.outputs[i].sums.sqnr_db()));
  for (size_t i = 0; i < exact->metrics.size(); ++i)
    text += fmt::format("  {}: {} with exact sums, {} on this device\n",
                        metric_name(exact->metrics[i].metric),
                        metric_text(exact->metrics[i].metric, exact->metrics[i].after),
                        metric_text(device.metrics[i].metric, device.metrics[i].after));
  if (worse) text += "hint: lathe quantize --profile x86-64 keeps such sums within 16 bits\n";
  return text;
}

nlohmann::json ComparedArithmetic::section(const CompareResult* exact) const {
  nlohmann::json section = {{"name", name_}};
  if (second_ == nullptr) return section;
  const std::vector<PairSumRow> rows = second_->rows();
  const Totals totals = totals_of(rows);
  section["pairs"] = totals.count.pairs;
  section["saturating"] = totals.count.saturating;
  section["share"] = totals.count.share();
  section["layers"] = layer_rows(rows);
  if (const std::vector<PairSumRow> reference = first_->rows(); !reference.empty())
    section["reference_layers"] = layer_rows(reference);
  if (exact == nullptr) return section;
  section["exact_outputs"] = error_rows(exact->outputs);
  nlohmann::json metrics = nlohmann::json::object();
  for (const MetricPair& pair : exact->metrics)
    if (pair.after && std::isfinite(*pair.after))
      metrics[std::string(metric_name(pair.metric))] = *pair.after;
  section["exact_metrics"] = std::move(metrics);
  return section;
}

}  // namespace lathe
