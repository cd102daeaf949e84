#include "comparison/baseline.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "ir/error.h"
#include "ir/listed.h"
#include "report/fields.h"
#include "report/report.h"
#include "report/strict_json.h"
#include "statistics/random.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr const char* kOtherHost = "the baseline was measured on another host";
constexpr const char* kMismatch =
    "measure a new baseline here, compare with --against, or give --allow-host-mismatch";

// They change what is done with the numbers, not the numbers.
constexpr auto kJudgingKeys = std::to_array<std::string_view>(
    {"against", "allow-host-mismatch", "baseline", "color", "command", "config", "force", "gate",
     "gate-profile", "gates", "json", "max-time", "model", "models", "o", "output", "quiet",
     "recommend", "report", "tolerance",
     // How C code is made: compared, as the model is.
     "fast-ram", "max-ram", "rounding",
     // Each case says its own.
     "batch", "engine", "processes", "threads",
     // Beside the timed runs.
     "export", "follow-links", "limits", "max-memory", "maximize", "minimize", "html",
     "profile-ops", "resume", "trace", "trust"});

// What counts do not depend on: the build, and the device that times are estimated for.
void drop_of_host(json& facts) {
  facts.erase("build");
  facts["recipe"].erase("profile");
}

json picked(const json& object, std::initializer_list<const char*> keys) {
  json out = json::object();
  for (const char* key : keys) out[key] = field(object, key);
  return out;
}

bool is_against(const std::string& id) { return id.starts_with("against/"); }

// An emulated board counts, the same on every host.
bool is_counted(const json& row) { return field(row, "emulated").is_object(); }

bool is_counted_alone(const json& report) {
  const json cases = field(report, "cases");
  return cases.is_array() && !cases.empty() && std::ranges::all_of(cases, is_counted);
}

void add_differences(const json& a, const json& b, const std::string& at,
                     std::vector<std::string>& found) {
  if (a == b) return;
  if (a.is_object() && b.is_object()) {
    std::set<std::string> keys;
    for (const json& side : {a, b})
      for (const auto& item : side.items()) keys.insert(item.key());
    for (const std::string& key : keys)
      add_differences(field(a, key), field(b, key), at + "/" + key, found);
    return;
  }
  // A case that only one side has is reported as missing or extra, not as another measurement.
  if (at.starts_with("/cases/") && (a.is_null() || b.is_null())) return;
  const auto text = [](const json& v) {
    return escape_untrusted(v.dump(-1, ' ', true, json::error_handler_t::replace), 60);
  };
  found.push_back(
      fmt::format("{} ({} here, {} there)", escape_untrusted(at, 80), text(a), text(b)));
}

std::string joined(const std::vector<std::string>& parts) { return listed(parts, 5); }

void check_bench(const json& report, const std::string& path) {
  if (field(field(report, "run"), "command") == json("bench") && field(report, "cases").is_array())
    return;
  throw bad_usage("usage.baseline", "is not a report of lathe bench", escape_untrusted(path),
                  "make one with lathe bench MODEL --report baseline.json");
}

struct StoredCase {
  std::string id;
  std::vector<double> process_medians;
  std::optional<double> instructions;  // of an emulated board
  bool contended = false;
};

std::vector<StoredCase> read_cases(const json& report, const std::string& path) {
  JsonReader reader(report, path);
  std::vector<StoredCase> cases;
  std::set<std::string> seen;
  for (JsonReader& row : reader.objects("cases")) {
    StoredCase stored;
    stored.id = row.string("id");
    if (is_against(stored.id)) continue;
    if (!seen.insert(stored.id).second)
      throw row.error("id", "is there twice: " + escape_untrusted(stored.id));
    if (row.has("samples")) {
      JsonReader samples = row.object("samples");
      // Null, with a reason beside it, when the run was too short for several processes.
      if (samples.has("process_medians_ns") && !samples.value("process_medians_ns").is_null())
        stored.process_medians = samples.numbers("process_medians_ns", 1e-3, 1e18);
    }
    if (row.has("emulated"))
      stored.instructions = row.object("emulated").number("instructions", 1, 1e18);
    if (row.has("warnings"))
      for (JsonReader& warning : row.objects("warnings"))
        stored.contended = stored.contended || warning.string("code") == "bench.contention";
    cases.push_back(std::move(stored));
  }
  return cases;
}

double deviation_from_mean(const std::vector<double>& values) {
  double mean = 0;
  for (const double v : values) mean += v / static_cast<double>(values.size());
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// log of the ratio of medians, with what a bootstrap over the processes of each side says of it.
GroupedEstimate estimate_ratio(const std::vector<double>& here, const std::vector<double>& there,
                               const CrossRunOptions& options) {
  BenchRandom random(options.seed);
  const auto drawn_median = [&random](const std::vector<double>& values) {
    std::vector<double> drawn;
    for (size_t i = 0; i < values.size(); ++i) drawn.push_back(values[random.below(values.size())]);
    return median(drawn);
  };
  std::vector<double> estimates;
  for (size_t i = 0; i < std::max<size_t>(1, options.resamples); ++i) {
    const double there_median = drawn_median(there);
    estimates.push_back(std::log(drawn_median(here) / there_median));
  }
  GroupedEstimate estimate;
  const double fewer = static_cast<double>(std::min(here.size(), there.size()));
  estimate.value = std::log(median(here) / median(there));
  estimate.degrees = fewer - 1;
  estimate.error_below = estimate.error_above =
      deviation_from_mean(estimates) * std::sqrt(fewer / (fewer - 1));
  estimate.effective_n = static_cast<double>(here.size() + there.size());
  return estimate;
}

CrossRunCase compare_case(const StoredCase& here, const StoredCase& there,
                          const CrossRunOptions& options) {
  CrossRunCase result;
  result.id = here.id;
  result.processes = here.process_medians.size();
  result.baseline_processes = there.process_medians.size();
  result.effective_tolerance = options.tolerance;
  if (here.instructions && there.instructions) {
    const double ratio = *here.instructions / *there.instructions;
    result.ratio = ratio;
    result.interval = {ratio, ratio};
    result.verdict = judge_ratio(*result.interval, options.tolerance);
    return result;
  }
  if (std::min(result.processes, result.baseline_processes) < kFewestCrossRunProcesses) {
    result.reason =
        fmt::format("{} processes here and {} in the baseline; {} a side are needed",
                    result.processes, result.baseline_processes, kFewestCrossRunProcesses);
    return result;
  }
  const GroupedEstimate estimate =
      estimate_ratio(here.process_medians, there.process_medians, options);
  const Interval logs = estimate_interval(estimate, options.confidence);
  result.ratio = std::exp(estimate.value);
  result.interval = {std::exp(logs.low), std::exp(logs.high)};
  result.p_value = mann_whitney_p(here.process_medians, there.process_medians);
  result.verdict = judge_ratio(*result.interval, options.tolerance);
  const bool slower = result.verdict == ComparisonVerdict::kRegressed;
  if (*result.p_value > 1 - options.confidence) {
    if (slower) result.verdict = ComparisonVerdict::kInconclusive;
    if (result.verdict == ComparisonVerdict::kImproved) result.verdict = ComparisonVerdict::kPass;
  }
  // A neighbour on the CPUs slows all processes of one run alike: nothing within it tells. Slowed
  // now, the model seems slower than it is; slowed then, it seems faster.
  if (slower ? here.contended : there.contended) {
    result.verdict = ComparisonVerdict::kInconclusive;
    result.note = fmt::format("others wanted the CPUs {}: give --against, which alternates the two",
                              slower ? "now" : "when the baseline was measured");
  }
  return result;
}

void refuse_or_warn(const std::string& what, const std::string& path,
                    const CrossRunOptions& options, CrossRun& run) {
  if (!options.allow_mismatch)
    throw bad_environment("bench.baseline_mismatch", what, escape_untrusted(path), kMismatch);
  run.warnings.push_back(what);
}

}  // namespace

json load_baseline(const std::string& path, const json& current, bool allow_mismatch) {
  json baseline = load_report(path);
  check_bench(baseline, path);
  const bool any_host = allow_mismatch || is_counted_alone(baseline);
  if (!any_host &&
      field(field(baseline, "host"), "fingerprint") != field(field(current, "host"), "fingerprint"))
    throw bad_environment("bench.baseline_mismatch", kOtherHost, escape_untrusted(path), kMismatch);
  const auto known = [&](const json& report) {
    json facts = picked(measured_facts(report), {"recipe", "build"});
    if (any_host) drop_of_host(facts);
    return facts;
  };
  std::vector<std::string> differences;
  add_differences(known(current), known(baseline), "", differences);
  if (!differences.empty() && !allow_mismatch)
    throw bad_environment("bench.baseline_mismatch",
                          "the baseline measured something else: " + joined(differences),
                          escape_untrusted(path), kMismatch);
  return baseline;
}

json measured_facts(const json& report) {
  json facts = {{"recipe", json::object()}, {"inputs", json::array()}, {"cases", json::object()}};
  const json recipe = field(report, "recipe");
  if (recipe.is_object()) {
    for (const auto& [key, value] : recipe.items()) {
      if (std::find(kJudgingKeys.begin(), kJudgingKeys.end(), key) == kJudgingKeys.end())
        facts["recipe"][key] = value;
    }
  }
  facts["build"] = picked(field(report, "tool"), {"build_type", "sanitizers"});
  const json inputs = field(report, "inputs");
  if (inputs.is_array()) {
    for (const json& input : inputs)
      facts["inputs"].push_back(
          picked(input, {"name", "shape", "dtype", "source", "count", "seed"}));
  }
  const json cases = field(report, "cases");
  if (cases.is_array()) {
    for (const json& row : cases) {
      const json id = field(row, "id");
      if (!id.is_string() || is_against(id.get<std::string>())) continue;
      json fact = picked(row, {"engine", "batch", "scenario", "streams", "target_qps"});
      if (!is_counted(row)) fact["threads"] = field(field(row, "threads"), "effective");
      facts["cases"][id.get<std::string>()] = fact;
    }
  }
  return facts;
}

CrossRun compare_with_baseline(const json& current, const json& baseline, const std::string& path,
                               const CrossRunOptions& options) {
  check_bench(current, "this run");
  check_bench(baseline, path);
  const std::vector<StoredCase> here = read_cases(current, "this run");
  const std::vector<StoredCase> there = read_cases(baseline, path);
  CrossRun run;
  run.baseline_id = text_field(field(baseline, "run"), "id");
  run.baseline_model_sha256 = text_field(field(baseline, "model"), "sha256");
  const json host = field(field(current, "host"), "fingerprint");
  const bool any_host = is_counted_alone(baseline);
  if (!any_host && (host.is_null() || host != field(field(baseline, "host"), "fingerprint")))
    refuse_or_warn(kOtherHost, path, options, run);
  json facts_here = measured_facts(current);
  json facts_there = measured_facts(baseline);
  if (any_host)
    for (json* facts : {&facts_here, &facts_there}) drop_of_host(*facts);
  std::vector<std::string> differences;
  add_differences(facts_here, facts_there, "", differences);
  if (!differences.empty())
    refuse_or_warn("the baseline measured something else: " + joined(differences), path, options,
                   run);
  std::map<std::string, const StoredCase*> stored;
  for (const StoredCase& one : there) stored[one.id] = &one;
  for (const StoredCase& one : here) {
    const auto found = stored.find(one.id);
    if (found == stored.end()) {
      run.extra.push_back(one.id);
      continue;
    }
    run.cases.push_back(compare_case(one, *found->second, options));
    stored.erase(found);
  }
  for (const auto& [id, one] : stored) run.missing.push_back(id);
  return run;
}

json cross_run_json(const CrossRun& run, const CrossRunOptions& options) {
  json out{{"mode", "cross_run"},
           {"baseline", {{"report_id", run.baseline_id}}},
           {"delta_min_effect", options.tolerance},
           {"alpha", 1 - options.confidence},
           {"looks", 1},
           {"seed", options.seed},
           {"warnings", run.warnings},
           {"cases", json::array()}};
  std::optional<std::string> sha256;
  if (!run.baseline_model_sha256.empty()) sha256 = run.baseline_model_sha256;
  put_or_reason(out["baseline"], "model_sha256", sha256, "the report names none");
  for (const char* side : {"missing", "extra"}) {
    out[side] = json::array();
    for (const std::string& id : side[0] == 'm' ? run.missing : run.extra)
      out[side].push_back(escape_untrusted(id));
  }
  for (const CrossRunCase& one : run.cases) {
    json row{{"id", escape_untrusted(one.id)},
             {"verdict", comparison_verdict_name(one.verdict)},
             {"effective_delta", one.effective_tolerance},
             {"processes", one.processes},
             {"baseline_processes", one.baseline_processes},
             {"ratio", json::object()}};
    if (!one.note.empty()) row["note"] = one.note;
    put_or_reason(row, "p_value", one.p_value,
                  one.reason.empty() ? "counts are exact" : one.reason);
    put_or_reason(row["ratio"], "value", one.ratio, one.reason);
    put_or_reason(
        row["ratio"], "ci95",
        one.interval ? std::optional(json{one.interval->low, one.interval->high}) : std::nullopt,
        one.reason);
    out["cases"].push_back(std::move(row));
  }
  return out;
}

}  // namespace lathe
