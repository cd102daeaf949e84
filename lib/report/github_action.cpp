#include "report/github_action.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "report/fields.h"
#include "report/json_text.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

std::string rows_of(const json& report, bool bigger_is_better) {
  json rows = json::array();
  const std::string host = text_field(field(report, "host"), "fingerprint");
  for (const Measure& measure : report_measures(report)) {
    if (measure.bigger_is_better != bigger_is_better) continue;
    json row{{"name", measure.series + " " + measure.name},
             {"unit", measure.unit.empty() ? measure.name : measure.unit},
             {"value", measure.value},
             {"extra", "model " + measure.model + (host.empty() ? "" : ", host " + host)}};
    if (measure.ci95)
      row["range"] = fmt::format("{:.6g}–{:.6g}", measure.ci95->first, measure.ci95->second);
    rows.push_back(std::move(row));
  }
  return json_text(rows);
}

}  // namespace

std::string to_github_action_smaller(const json& report) { return rows_of(report, false); }
std::string to_github_action_bigger(const json& report) { return rows_of(report, true); }

}  // namespace lathe
