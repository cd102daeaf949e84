// The tables of `bench --profile-ops`, from the report's rows, so that a run that was measured here
// and one that came from child processes read alike.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "commands/bench/sensors.h"
#include "commands/bench/text.h"
#include "commands/bench/text_parts.h"
#include "commands/bench/trace.h"
#include "ir/error.h"
#include "os/quantity.h"
#include "report/fields.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kMaxTypes = 8;
constexpr size_t kMaxNodes = 8;
constexpr size_t kMaxTypesOfMany = 3;
constexpr size_t kMaxProfiles = 6;

std::string share_text(double share) { return fmt::format("{:.1f} %", 100 * share); }

// "compute, 43 % of the peak"; above the peak the values came out of a cache.
std::string bottleneck_text(const json& op) {
  const std::string kind = text_of(at_path(op, "bottleneck/class"));
  const auto efficiency = number_of(at_path(op, "bottleneck/efficiency"));
  if (kind == "unknown" || !efficiency) return "-";
  if (*efficiency > 1) return kind + ", out of a cache";
  return fmt::format("{}, {:.2g} % of the peak", kind, 100 * *efficiency);
}

std::string types_table(const json& profile, size_t most) {
  json types = list_field(profile, "types");
  // Of the mean run, as the shares are.
  const double runs = std::max(1.0, number_field(profile, "runs").value_or(0));
  if (types.size() > most) {
    double rest = 0;
    for (size_t i = most; i < types.size(); ++i)
      rest += number_field(types[i], "share").value_or(0);
    const size_t left = types.size() - most;
    types.erase(types.begin() + static_cast<std::ptrdiff_t>(most), types.end());
    types.push_back({{"type", fmt::format("{} more", left)}, {"share", rest}});
  }
  types.push_back({{"type", "in no node"},
                   {"total_ns", number_field(profile, "unattributed_ns").value_or(0) * runs},
                   {"share", number_field(profile, "unattributed_share").value_or(0)}});
  return columns_table(rows_of(types), {{"op type", cell("type")},
                                        {"nodes", cell("nodes")},
                                        {"time a run",
                                         [runs](const json& type) {
                                           const auto total = number_field(type, "total_ns");
                                           return total ? duration_text(*total / runs)
                                                        : std::string();
                                         }},
                                        {"share", cell("share", share_text)},
                                        {"bottleneck", [](const json& type) {
                                           const std::string kind = text_field(type, "bottleneck");
                                           return kind == "unknown" ? "-" : kind;
                                         }}});
}

std::string nodes_table(const json& profile) {
  std::vector<const json*> ops = rows_of(list_field(profile, "ops"));
  std::stable_sort(ops.begin(), ops.end(), [](const json* a, const json* b) {
    return number_field(*a, "total_ns").value_or(0) > number_field(*b, "total_ns").value_or(0);
  });
  ops.resize(std::min(ops.size(), kMaxNodes));
  return columns_table(
      ops, {{"slowest node",
             [](const json& op) { return escape_untrusted(text_field(op, "name"), 48); }},
            {"type", cell("type")},
            {"median", cell("median_ns", duration_text)},
            {"share", cell("share", share_text)},
            {"bottleneck", bottleneck_text}});
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
  std::string text =
      fmt::format("\n  {}: a pass of its own, {} runs; profiling made a run {:.3g} times as slow\n",
                  console.bold(title), text_field(profile, "runs"),
                  number_field(profile, "overhead_ratio").value_or(0));
  text += types_table(profile, is_alone ? kMaxTypes : kMaxTypesOfMany);
  return is_alone ? text + "\n" + nodes_table(profile) : text;
}

}  // namespace

std::string details_text(const json& report, const Console& console) {
  std::vector<const json*> rows = rows_of(list_field(report, "cases"));
  std::erase_if(rows,
                [](const json* row) { return text_field(*row, "id").starts_with("against/"); });
  const bool is_alone = rows.size() == 1;
  std::string text = blame_text(field(report, "comparison"), is_alone, console);
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
