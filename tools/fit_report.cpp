#include "fit_report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "ir/error.h"
#include "os/quantity.h"

namespace lathe {
namespace {

using nlohmann::json;

bool counts_bytes(const FitLine& line) { return line.what == "flash" || line.what == "RAM"; }

// "1.44 MiB of 320 KiB"; "opset 21 of 13"; empty for what is no number.
std::string need_text(const FitLine& line) {
  if (!line.need || !line.limit) return {};
  if (!counts_bytes(line)) return fmt::format("{} of {}", *line.need, *line.limit);
  return bytes_text(*line.need) + " of " + bytes_text(*line.limit);
}

std::string sizes_text(const FitChange& change, const Profile& profile) {
  std::string text = "RAM about " + bytes_text(change.ram_bytes);
  if (profile.memory.flash_bytes) text += ", flash about " + bytes_text(change.flash_bytes);
  return text;
}

const FitChange* change_that_fits(const Fit& fit) {
  const auto at = std::ranges::find_if(fit.changes, &FitChange::fits);
  return at == fit.changes.end() ? nullptr : &*at;
}

std::string part_text(const FitPart& part) {
  if (part.node.empty()) return bytes_text(part.bytes) + " " + part.value;
  return bytes_text(part.bytes) + " of " + part.type + " " + part.node;
}

std::string verdict_text(FitVerdict verdict, const Console& console) {
  const std::string name(fit_verdict_name(verdict));
  if (verdict == FitVerdict::kFits) return console.good(name);
  return verdict == FitVerdict::kDoesNotFit ? console.bad(name) : "cannot be told whether it fits";
}

json parts_json(const std::vector<FitPart>& parts) {
  json out = json::array();
  for (const FitPart& part : parts)
    out.push_back(
        {{"value", part.value}, {"node", part.node}, {"type", part.type}, {"bytes", part.bytes}});
  return out;
}

std::string key_of(FitVerdict verdict) {
  std::string name(fit_verdict_name(verdict));
  std::ranges::replace(name, ' ', '_');
  return name;
}

}  // namespace

json fit_json(const Fit& fit, const Profile& profile) {
  json lines = json::array();
  for (const FitLine& line : fit.lines) {
    json row{{"what", line.what}, {"verdict", key_of(line.verdict)}, {"text", line.text}};
    if (counts_bytes(line)) row["unit"] = "bytes";
    if (line.need) row["need"] = *line.need;
    if (line.limit) row["limit"] = *line.limit;
    lines.push_back(std::move(row));
  }
  json changes = json::array();
  for (const FitChange& change : fit.changes)
    changes.push_back({{"what", change.what},
                       {"flash_bytes", change.flash_bytes},
                       {"ram_bytes", change.ram_bytes},
                       {"fits", change.fits},
                       {"estimated", true}});
  json out{{"profile", profile.name},
           {"verdict", key_of(fit.verdict())},
           {"lines", std::move(lines)},
           {"flash_bytes", fit.flash_bytes},
           {"ram_bytes", fit.ram_bytes},
           {"weights_bytes", fit.weights_bytes},
           {"alignment", profile.memory.arena_alignment},
           {"peak", {{"node", fit.peak_node}, {"buffers", parts_json(fit.peak)}}},
           {"largest_weights", parts_json(fit.weights)},
           {"changes", std::move(changes)},
           {"batch", fit.batch}};
  put_or_reason(out, "arena_bytes", fit.arena_bytes, "too many values to plan");
  return out;
}

std::string fit_sentence(const Fit& fit, const Profile& profile, const Console& console) {
  const FitVerdict verdict = fit.verdict();
  std::string text = verdict_text(verdict, console) + " " + escape_untrusted(profile.name, 60);
  std::string why;
  for (const FitLine& line : fit.lines) {
    const bool told = verdict == FitVerdict::kFits
                          ? counts_bytes(line) || line.what == kRunTimeLine
                          : line.verdict == verdict;
    if (!told) continue;
    const std::string need = need_text(line);
    why += (why.empty() ? ": " : ", ") + line.what + " " + (need.empty() ? line.text : need);
  }
  text += why;
  if (const FitChange* change = change_that_fits(fit))
    text += fmt::format("; would fit with {} ({})", change->what, sizes_text(*change, profile));
  return text;
}

std::vector<std::vector<std::string>> fit_rows(const Fit& fit, const Profile& profile,
                                               const Console& console) {
  std::vector<std::vector<std::string>> rows{
      {"fit", verdict_text(fit.verdict(), console) + " " + escape_untrusted(profile.name, 60)}};
  for (const FitLine& line : fit.lines) {
    const std::string need = need_text(line);
    const bool bad = line.verdict == FitVerdict::kDoesNotFit;
    rows.push_back({"  " + line.what,
                    (need.empty() ? "" : (bad ? console.bad(need) : need) + "  ") + line.text});
  }
  if (!fit.peak.empty()) {
    std::string parts;
    for (size_t i = 0; i < std::min<size_t>(3, fit.peak.size()); ++i)
      if (fit.peak[i].bytes * 20 >= fit.peak[0].bytes)
        parts += (i == 0 ? "" : ", ") + part_text(fit.peak[i]);
    rows.push_back({"  peak", fmt::format("at {}: {}", fit.peak_node, parts)});
  }
  if (!fit.weights.empty()) rows.push_back({"  largest weight", part_text(fit.weights[0])});
  if (profile.execution.batch_default > 1)
    rows.push_back({"  batch", fmt::format("{} at once, of the profile's {}", fit.batch,
                                           profile.execution.batch_default)});
  for (const FitChange& change : fit.changes)
    rows.push_back({"  with", fmt::format("{}: {}{}", change.what, sizes_text(change, profile),
                                          change.fits ? ", fits" : "")});
  return rows;
}

FitFile fit_file_of(const PlanFile& plan, int64_t bytes) {
  FitFile file;
  file.is_plan = true;
  file.plan_bytes = bytes;
  file.plan_arena_bytes = plan.plan.arena_bytes;
  file.plan_batch_fixed = plan.batch_two.empty();
  if (!plan.partitions.empty())
    file.plan_refused = fmt::format("{} of its parts", plan.partitions.size());
  return file;
}

Fit note_fit(CommandRun& run, const Graph& graph, const FitFile& file) {
  Fit fit = does_it_fit(graph, file, run.profile);
  run.report.details["fit"] = fit_json(fit, run.profile);
  if (run.common.require_fit && fit.verdict() != FitVerdict::kFits)
    run.fit_code =
        fit.verdict() == FitVerdict::kUnknown ? ExitCode::kInconclusive : ExitCode::kGateMissed;
  return fit;
}

}  // namespace lathe
