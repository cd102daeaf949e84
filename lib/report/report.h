// The one report of all subcommands: schema "lathe.report" 1.0 (schema/lathe.report.schema.json).
// JSON is the truth; the table on the screen, Markdown and the rest are derived from it.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/error.h"
#include "os/host.h"

namespace lathe {

constexpr std::string_view kReportSchema = "lathe.report";
constexpr std::string_view kReportSchemaVersion = "1.0";

struct ToolFacts {
  std::string name = "lathe";
  std::string version;
  std::optional<std::string> git;
  std::string build_type;
  std::string compiler;
  std::vector<std::string> sanitizers;
  std::map<std::string, std::string> backends;  // "libtorch" -> "1.13.1"
};

/// Compiler, build type and sanitizers of this build, with the given version.
ToolFacts tool_facts(std::string version);

struct RunFacts {
  std::string command;            // "quantize"
  std::vector<std::string> argv;  // without the program's path
  std::string started_utc;        // "2026-01-31T12:00:00Z"
  std::optional<int64_t> duration_ns;
  uint64_t seed = 0;
  std::string config_hash;                // config_hash(recipe)
  std::map<std::string, std::string> ci;  // provider, ref, sha, job; empty outside CI
};

/// Facts of GitHub Actions, GitLab CI and others from the environment.
std::map<std::string, std::string> ci_facts();
/// "2026-01-31T12:00:00Z" of now.
std::string utc_now();

struct ModelFacts {
  std::string path_basename;
  std::string sha256;
  std::string format;  // as in names/targets.h
  std::optional<int64_t> opset;
  int64_t file_bytes = 0;
  std::optional<int64_t> weights_bytes;
  std::optional<int64_t> params;
  std::optional<int64_t> macs;  // of one inference at batch 1; null when a shape is not known
  std::optional<int64_t> nodes;
  std::map<std::string, int64_t> ops;              // op type -> nodes
  std::map<std::string, int64_t> dtype_histogram;  // dtype -> parameters
  std::optional<std::string> parent_sha256;
  std::optional<std::string> recipe_hash;
};

struct StepRow {
  std::string pass;
  int64_t changes = 0;
  double ms = 0;
  std::optional<std::string> skipped;  // why
};

struct QualityRow {
  std::string metric;
  std::optional<double> before;
  std::optional<double> after;
  std::optional<double> drop;  // in the metric's bad direction
  int64_t samples = 0;
  std::string reason;  // why a value is absent
};

struct GateRow {
  std::string id;
  std::string metric;
  std::string case_id;  // empty: the whole run
  std::string op;       // "<", "<=", ">", ">="
  double limit = 0;
  std::string unit;  // of limit, observed, ci95: ns, items/s, x, bytes, fraction, dB, of_against
  std::optional<double> observed;
  std::optional<std::pair<double, double>> ci95;
  std::string verdict;  // pass, fail, inconclusive, skipped
  std::string reason;
  std::string source;      // who asks for it; empty: the user
  bool simulated = false;  // observed comes from a device's stated rates
};

struct ArtifactRow {
  std::string kind;  // "model", "manifest", "html", …
  std::string path;
  std::string sha256;
  int64_t bytes = 0;
};

struct WarningRow {
  std::string code;
  std::string message;
  std::string hint;
};

struct MemoryFacts {
  std::optional<int64_t> hwm_bytes;
  std::string hwm_method;  // "VmHWM", "VmHWM, reset before the run"; or why there is none
  std::optional<int64_t> arena_planned_bytes;
};

/// Sections that are null (json) or empty are left out.
struct Report {
  ToolFacts tool;
  RunFacts run;
  nlohmann::json recipe;  // keys = flags; reproduces the run when given to --config
  std::optional<HostFacts> host;
  nlohmann::json host_noise;        // aa_half_width, steal_pct, psi_cpu, score
  nlohmann::json device_profile;    // name, version, hash, simulated, limits
  std::optional<ModelFacts> model;  // input
  std::optional<ModelFacts> model_out;
  nlohmann::json models;  // further models by role (teacher, student, against)
  nlohmann::json inputs;
  nlohmann::json phases;  // load_ns, compile_ns, first_inference_ns, warmup
  std::vector<StepRow> steps;
  nlohmann::json plan;
  std::vector<QualityRow> quality;
  std::optional<MemoryFacts> memory;
  nlohmann::json cases;
  nlohmann::json comparison;
  std::vector<GateRow> gates;
  std::vector<ArtifactRow> artifacts;
  std::vector<WarningRow> warnings;
  nlohmann::json details;  // what one subcommand adds, by section name
  bool complete = true;
  ExitCode exit_code = ExitCode::kDone;
  std::optional<ErrorText> error;
  std::string error_code;  // Error::id()
};

/// "pass", "fail" (exit 4, 7), "inconclusive" (5) or "error".
std::string_view verdict_of(ExitCode code);
/// Of two outcomes the one that the process reports: 130 and 143, then 1, 8, 9, 3, 6, 4, 5, the
/// rest, 0.
ExitCode worse(ExitCode a, ExitCode b);
/// Ends the report with a failure; `complete` becomes false.
void set_error(Report& report, const Error& error);

/// Throws InternalError for a NaN or infinity in any field.
nlohmann::json to_json(const Report& report);
nlohmann::json to_json(const HostFacts& host);
nlohmann::json to_json(const WarningRow& warning);

/// object[name] = value; without a value null, and object[name + "_reason"] = reason.
template <class T>
void put_or_reason(nlohmann::json& object, const std::string& name, const std::optional<T>& value,
                   const std::string& reason) {
  if (value) {
    object[name] = *value;
  } else {
    object[name] = nullptr;
    object[name + "_reason"] = reason.empty() ? "not known" : reason;
  }
}

/// sha256 of the recipe's canonical text.
std::string config_hash(const nlohmann::json& recipe);

/// A report file of any version 1.x. Throws Error (exit 2) for other schemas and major versions.
nlohmann::json load_report(const std::string& path);

}  // namespace lathe
