#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "heavy/bench/load_text.h"
#include "heavy/bench/sweep.h"
#include "heavy/bench/text.h"
#include "heavy/error_rows.h"
#include "os/quantity.h"

namespace lathe {
namespace {

using Row = std::vector<std::string>;

template <class Text>
std::string cell(const std::optional<double>& value, const Text& text) {
  return value ? text(*value) : "-";
}

std::string accuracy_cell(const SweepCase& one, double value) {
  const std::string metric = one.row.value("quality", nlohmann::json::object()).value("metric", "");
  return metric == "sqnr" ? decibel_text(value) : fmt::format("{:.3f}", value);
}

std::string speed_cell(const SweepCase& one) {
  const auto& ratio = one.gates.inputs.time_ratio;
  if (!ratio || !ratio->value) return "-";
  const std::string verdict = one.comparison.value("verdict", "");
  return fmt::format("{:.2f}x {}", 1 / *ratio->value, verdict);
}

std::string headline(const Sweep& sweep, const nlohmann::json& report, const BenchRequest& request,
                     const Console& console) {
  std::vector<std::string> parts;
  const std::string gates = gates_verdict(report, console);
  if (sweep.interruption)
    parts.push_back(console.bad("INTERRUPTED: what was measured so far"));
  else if (!gates.empty())
    parts.push_back(gates);
  size_t failed = 0;
  size_t left_out = 0;
  size_t resumed = 0;
  for (const SweepCase* one : sweep.done()) {
    failed += one->failure && !one->failure->not_tried() ? 1 : 0;
    left_out += one->failure && one->failure->not_tried() ? 1 : 0;
    resumed += one->resumed ? 1 : 0;
  }
  std::string cases =
      fmt::format("{} of {} cases", sweep.done().size() - failed - left_out, request.cases.size());
  if (sweep.done().size() - failed - left_out == request.cases.size())
    cases = fmt::format("{} case{}", request.cases.size(), request.cases.size() == 1 ? "" : "s");
  parts.push_back(console.bold(cases));
  if (failed > 0) parts.push_back(console.bad(fmt::format("{} failed", failed)));
  if (left_out > 0) parts.push_back(fmt::format("{} not tried", left_out));
  if (resumed > 0) parts.push_back(fmt::format("{} taken from the resume file", resumed));
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : " · ") + part;
  return text + "\n\n";
}

std::string cases_table(const Sweep& sweep) {
  const std::vector<const SweepCase*> cases = sweep.done();
  const auto any = [&](const auto& has) { return std::any_of(cases.begin(), cases.end(), has); };
  const bool has_accuracy =
      any([](const SweepCase* c) { return observed_metric(*c, "accuracy").has_value(); });
  const bool has_speed = any([](const SweepCase* c) { return !c->comparison.is_null(); });
  const bool has_spread = any([](const SweepCase* c) { return c->pooled && c->pooled->spread; });
  Row head{"", "case", "median", "p90", "p99", "items/s", "size", "arena", "peak"};
  if (has_spread) head.insert(head.begin() + 3, "processes");
  if (has_accuracy) head.emplace_back("accuracy");
  if (has_speed) head.emplace_back("against");
  head.emplace_back("");
  std::vector<Row> rows{head};
  const auto time = [](double ns) { return duration_text(ns); };
  for (size_t i = 0; i < sweep.cases.size(); ++i) {
    const SweepCase& one = sweep.cases[i];
    if (one.row.is_null()) continue;
    if (one.failure) {
      Row row(head.size(), "-");
      row[0] = "";
      row[1] = one.plan.id;
      row.back() = (one.failure->not_tried() ? "" : "failed: ") +
                   escape_untrusted(one.failure->message, 120);
      rows.push_back(std::move(row));
      continue;
    }
    Row row{sweep.front[i] ? "*" : "", one.plan.id, cell(observed_metric(one, "median"), time)};
    if (has_spread)
      row.push_back(one.pooled->spread ? "±" + percent_text(*one.pooled->spread / 2) : "-");
    row.push_back(cell(observed_metric(one, "p90"), time));
    row.push_back(cell(observed_metric(one, "p99"), time));
    row.push_back(fmt::format("{:.4g}", one.items_per_s));
    for (const char* metric : {"size", "arena", "peak_memory"})
      row.push_back(cell(observed_metric(one, metric), bytes_cell));
    if (has_accuracy)
      row.push_back(cell(observed_metric(one, "accuracy"),
                         [&](double value) { return accuracy_cell(one, value); }));
    if (has_speed) row.push_back(speed_cell(one));
    std::string warnings = is_overloaded(one.row) ? "overloaded" : "";
    for (const auto& warning : one.row.value("warnings", nlohmann::json::array())) {
      const std::string code = warning.value("code", "");
      warnings += (warnings.empty() ? "" : ", ") + code.substr(code.find('.') + 1);
    }
    row.push_back(warnings);
    rows.push_back(std::move(row));
  }
  return table(rows);
}

}  // namespace

std::string sweep_text(const Sweep& sweep, const nlohmann::json& report,
                       const BenchRequest& request, const Console& console) {
  std::string text = headline(sweep, report, request, console);
  if (const std::string gates = gates_table(report, console); !gates.empty()) text += gates + "\n";
  if (sweep.done().empty()) return text;
  text += cases_table(sweep);
  if (std::count(sweep.front.begin(), sweep.front.end(), true) > 0)
    text += "  * nothing is better in latency, size and accuracy (Pareto front)\n";
  text += "\n";
  for (const OptimalBatch& best : sweep.optimal)
    text += fmt::format("  optimal batch ({}): {}, {} an item\n", best.what, best.batch,
                        duration_text(best.ns_per_item));
  if (request.recommendation) {
    if (sweep.recommended) {
      const SweepCase& one = sweep.cases[*sweep.recommended];
      text += "  " + console.bold("recommended: " + one.plan.id) + "\n    " +
              sweep.recommended_command + "\n";
    } else {
      text += "  " + console.bad("no case to recommend: none passes every expression") + "\n";
    }
  }
  return text;
}

}  // namespace lathe
