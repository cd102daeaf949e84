// The tables of `bench --profile-ops`, from the report's rows, so that a run that was measured here
// and one that came from child processes read alike.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "heavy/bench/profile.h"
#include "heavy/bench/sensors.h"
#include "heavy/bench/trace.h"
#include "ir/error.h"
#include "os/quantity.h"
#include "report/fields.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

constexpr size_t kMaxTypes = 8;
constexpr size_t kMaxNodes = 8;
constexpr size_t kMaxTypesOfMany = 3;
constexpr size_t kMaxProfiles = 6;

double number_or_zero(const json& object, const char* key) {
  return number_field(object, key).value_or(0);
}

std::string share_text(double share) { return fmt::format("{:.1f} %", 100 * share); }

// "compute, 43 % of the peak"; above the peak the values came out of a cache.
std::string bottleneck_text(const json& bottleneck) {
  const std::string kind = text_field(bottleneck, "class");
  const auto efficiency = number_field(bottleneck, "efficiency");
  if (kind == "unknown" || !efficiency) return "-";
  if (*efficiency > 1) return kind + ", out of a cache";
  return fmt::format("{}, {:.2g} % of the peak", kind, 100 * *efficiency);
}

std::string types_table(const json& profile, size_t most) {
  const json& types = list_field(profile, "types");
  std::vector<Row> rows{{"op type", "nodes", "time a run", "share", "bottleneck"}};
  double rest = 0;
  // Of the mean run, as the shares are.
  const double runs = std::max(1.0, number_or_zero(profile, "runs"));
  for (const json& type : types) {
    if (rows.size() > most) {
      rest += number_or_zero(type, "share");
      continue;
    }
    const std::string bottleneck = text_field(type, "bottleneck");
    rows.push_back({text_field(type, "type"), text_field(type, "nodes"),
                    duration_text(number_or_zero(type, "total_ns") / runs),
                    share_text(number_or_zero(type, "share")),
                    bottleneck == "unknown" ? "-" : bottleneck});
  }
  if (types.size() > most)
    rows.push_back({fmt::format("{} more", types.size() - most), "", "", share_text(rest), ""});
  const double unattributed = number_or_zero(profile, "unattributed_share");
  rows.push_back({"in no node", "", duration_text(number_or_zero(profile, "unattributed_ns")),
                  share_text(unattributed), ""});
  return table(rows);
}

std::string nodes_table(const json& profile) {
  std::vector<const json*> ops;
  for (const json& op : list_field(profile, "ops")) ops.push_back(&op);
  std::stable_sort(ops.begin(), ops.end(), [](const json* a, const json* b) {
    return number_or_zero(*a, "total_ns") > number_or_zero(*b, "total_ns");
  });
  std::vector<Row> rows{{"slowest node", "type", "median", "share", "bottleneck"}};
  for (size_t i = 0; i < std::min(ops.size(), kMaxNodes); ++i) {
    const json& op = *ops[i];
    rows.push_back({escape_untrusted(text_field(op, "name"), 48), text_field(op, "type"),
                    duration_text(number_or_zero(op, "median_ns")),
                    share_text(number_or_zero(op, "share")),
                    bottleneck_text(field(op, "bottleneck"))});
  }
  return table(rows);
}

std::string blame_text(const json& comparison, bool is_alone, const Console& console) {
  std::string text;
  for (const json& row : list_field(comparison, "cases")) {
    std::string lines;
    for (const BlameSentence& blame : blame_sentences(row)) lines += "  " + blame.text + "\n";
    if (lines.empty()) continue;
    const std::string what = is_alone ? "why they differ" : text_field(row, "id");
    text += "\n  " + console.bold(what) + "\n" + lines;
  }
  return text;
}

std::string profile_text(const json& row, bool is_alone, const Console& console) {
  const json& profile = field(row, "profile");
  const std::string title = is_alone ? "profile" : "profile of " + text_field(row, "id");
  if (!profile.is_object()) {
    const std::string reason = text_field(row, "profile_reason");
    return reason.empty() ? "" : fmt::format("\n  {}: none, {}\n", title, reason);
  }
  std::string text = fmt::format(
      "\n  {}: a pass of its own, {} runs; profiling made a run {:.3g} times as slow\n",
      console.bold(title), text_field(profile, "runs"), number_or_zero(profile, "overhead_ratio"));
  text += types_table(profile, is_alone ? kMaxTypes : kMaxTypesOfMany);
  return is_alone ? text + "\n" + nodes_table(profile) : text;
}

}  // namespace

std::string details_text(const json& cases, const json& comparison, const Console& console) {
  std::vector<const json*> rows;
  if (cases.is_array())
    for (const json& row : cases)
      if (!text_field(row, "id").starts_with("against/")) rows.push_back(&row);
  const bool is_alone = rows.size() == 1;
  std::string text = blame_text(comparison, is_alone, console);
  size_t shown = 0;
  for (const json* row : rows) {
    const std::string one = profile_text(*row, is_alone, console);
    if (!one.empty() && ++shown <= kMaxProfiles) text += one;
  }
  if (shown > kMaxProfiles)
    text += fmt::format("  {} more profiles are in the report\n", shown - kMaxProfiles);
  if (!is_alone) return text;
  const std::string lines = machine_text(*rows[0]) + trace_text(*rows[0]);
  return lines.empty() ? text : text + "\n" + lines;
}

}  // namespace lathe
