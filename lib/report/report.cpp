#include "report/report.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "os/read_file.h"
#include "os/sha256.h"
#include "report/json_text.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

template <class T>
void put_if(json& object, const char* name, const std::optional<T>& value) {
  if (value) object[name] = *value;
}

void put_section(json& report, const char* name, const json& section) {
  if (!section.is_null()) report[name] = section;
}

json to_json(const ToolFacts& tool) {
  json out{
      {"name", tool.name},         {"version", tool.version},       {"build_type", tool.build_type},
      {"compiler", tool.compiler}, {"sanitizers", tool.sanitizers}, {"backends", json::array()}};
  put_or_reason(out, "git", tool.git, "not built from a repository");
  for (const auto& [name, version] : tool.backends)
    out["backends"].push_back({{"name", name}, {"version", version}});
  return out;
}

json to_json(const RunFacts& run) {
  json out{{"command", run.command},         {"argv", run.argv},
           {"started_utc", run.started_utc}, {"seed", run.seed},
           {"config_hash", run.config_hash}, {"cwd_redacted", true}};
  put_or_reason(out, "duration_ns", run.duration_ns, "the run has not ended");
  std::string identity = run.command + "\n" + run.started_utc;
  for (const std::string& argument : run.argv) identity += "\n" + argument;
  out["id"] = sha256_hex(identity).substr(0, 16);
  if (!run.ci.empty()) out["ci"] = run.ci;
  return out;
}

json to_json(const ModelFacts& model) {
  json out{{"path_basename", model.path_basename},
           {"sha256", model.sha256},
           {"format", model.format},
           {"file_bytes", model.file_bytes},
           {"ops", model.ops},
           {"dtype_histogram", model.dtype_histogram}};
  put_if(out, "opset", model.opset);
  const std::string unread = "the model was not read so far";
  put_or_reason(out, "weights_bytes", model.weights_bytes, unread);
  put_or_reason(out, "params", model.params, unread);
  put_or_reason(out, "nodes", model.nodes, unread);
  const std::string shapes = "shapes are not known";
  put_or_reason(out, "macs", model.macs, shapes);
  put_or_reason(
      out, "flops",
      model.macs && *model.macs <= INT64_MAX / 2 ? std::optional(*model.macs * 2) : std::nullopt,
      shapes);
  put_if(out, "parent_sha256", model.parent_sha256);
  put_if(out, "recipe_hash", model.recipe_hash);
  return out;
}

json to_json(const StepRow& step) {
  json out{{"pass", step.pass}, {"changes", step.changes}, {"ms", step.ms}};
  put_if(out, "skipped", step.skipped);
  return out;
}

json to_json(const QualityRow& row) {
  json out{{"metric", row.metric}, {"samples", row.samples}};
  put_or_reason(out, "before", row.before, row.reason);
  put_or_reason(out, "after", row.after, row.reason);
  put_or_reason(out, "drop", row.drop, row.reason);
  return out;
}

json to_json(const GateRow& gate) {
  json out{{"id", gate.id},
           {"metric", gate.metric},
           {"op", gate.op},
           {"limit", gate.limit},
           {"verdict", gate.verdict}};
  put_or_reason(out, "observed", gate.observed, gate.reason);
  if (!gate.unit.empty()) out["unit"] = gate.unit;
  if (!gate.case_id.empty()) out["case"] = gate.case_id;
  if (gate.ci95) out["ci95"] = {gate.ci95->first, gate.ci95->second};
  if (!gate.reason.empty()) out["reason"] = gate.reason;
  if (gate.simulated) out["simulated"] = true;
  if (!gate.source.empty()) out["source"] = gate.source;
  return out;
}

json to_json(const ArtifactRow& row) {
  return {{"kind", row.kind}, {"path", row.path}, {"sha256", row.sha256}, {"bytes", row.bytes}};
}

json to_json(const MemoryFacts& memory) {
  json out;
  put_or_reason(out, "hwm_bytes", memory.hwm_bytes, memory.hwm_method);
  if (memory.hwm_bytes) out["hwm_method"] = memory.hwm_method;
  put_if(out, "arena_planned_bytes", memory.arena_planned_bytes);
  return out;
}

template <class Row>
json rows(const std::vector<Row>& list) {
  json out = json::array();
  for (const Row& row : list) out.push_back(to_json(row));
  return out;
}

}  // namespace

std::string_view verdict_of(ExitCode code) {
  switch (code) {
    case ExitCode::kDone: return "pass";
    case ExitCode::kGateMissed:
    case ExitCode::kBatchFailed: return "fail";
    case ExitCode::kInconclusive: return "inconclusive";
    default: return "error";
  }
}

ExitCode worse(ExitCode a, ExitCode b) {
  constexpr std::array kOrder{
      ExitCode::kInterrupted, ExitCode::kTerminated, ExitCode::kInternal,
      ExitCode::kLimit,       ExitCode::kOutput,     ExitCode::kBadInput,
      ExitCode::kEnvironment, ExitCode::kGateMissed, ExitCode::kInconclusive};
  for (const ExitCode code : kOrder)
    if (a == code || b == code) return code;
  return a == ExitCode::kDone ? b : a;
}

void set_error(Report& report, const Error& error) {
  report.error = error.text();
  report.error_code = error.id();
  report.exit_code = error.code();
  report.complete = false;
}

json to_json(const WarningRow& row) {
  return {{"code", row.code}, {"message", row.message}, {"hint", row.hint}};
}

json to_json(const HostFacts& host) {
  json caches = json::array();
  for (const CacheFacts& cache : host.topology.caches)
    caches.push_back({{"level", cache.level}, {"type", cache.type}, {"bytes", cache.bytes}});
  const std::string hidden = "the system does not tell";
  json clusters = json::array();
  for (const CpuCluster& cluster : host.topology.clusters) {
    json row{{"cpus", cluster.cpus}};
    if (!cluster.model.empty()) row["model"] = cluster.model;
    put_or_reason(row, "max_hz", cluster.max_hz, "no cpufreq on this machine");
    if (cluster.capacity) row["capacity"] = *cluster.capacity;
    clusters.push_back(std::move(row));
  }
  json cpu{{"model", host.cpu_model},
           {"isa", host.isa},
           {"caches", std::move(caches)},
           {"clusters", std::move(clusters)}};
  put_or_reason(cpu, "sockets", host.topology.sockets, hidden);
  put_or_reason(cpu, "cores", host.topology.cores, hidden);
  put_or_reason(cpu, "smt", host.topology.smt, hidden);
  json out{{"fingerprint", host.fingerprint}, {"os", host.os},
           {"kernel", host.kernel},           {"arch", host.arch},
           {"cpu", std::move(cpu)},           {"cpus_online", host.cpus_online},
           {"cpus_usable", host.cpus_usable}, {"virt", host.virt}};
  put_or_reason(out, "cgroup_quota", host.cgroup_quota, "no quota is set");
  put_or_reason(out, "mem_bytes", host.mem_bytes, hidden);
  put_or_reason(out, "numa", host.topology.numa_nodes, hidden);
  put_or_reason(out, "governor", host.governor, "no cpufreq on this machine");
  put_or_reason(out, "turbo", host.turbo, hidden);
  put_or_reason(out, "aslr", host.aslr, hidden);
  return out;
}

json to_json(const Report& report) {
  json out{{"schema", kReportSchema},
           {"schema_version", kReportSchemaVersion},
           {"complete", report.complete},
           {"tool", to_json(report.tool)},
           {"run", to_json(report.run)},
           {"steps", rows(report.steps)},
           {"quality", rows(report.quality)},
           {"gates", rows(report.gates)},
           {"artifacts", rows(report.artifacts)},
           {"warnings", rows(report.warnings)},
           {"verdict", verdict_of(report.exit_code)},
           {"exit_code", static_cast<int>(report.exit_code)}};
  put_section(out, "recipe", report.recipe);
  if (report.host) {
    out["host"] = to_json(*report.host);
    put_section(out["host"], "noise", report.host_noise);
  }
  put_section(out, "device_profile", report.device_profile);
  if (report.model) out["model"] = to_json(*report.model);
  if (report.model_out) out["model_out"] = to_json(*report.model_out);
  put_section(out, "models", report.models);
  put_section(out, "inputs", report.inputs);
  put_section(out, "phases", report.phases);
  put_section(out, "plan", report.plan);
  if (report.memory) out["memory"] = to_json(*report.memory);
  put_section(out, "cases", report.cases);
  put_section(out, "comparison", report.comparison);
  if (!report.details.is_null())
    for (const auto& item : report.details.items()) {
      if (out.contains(item.key())) throw InternalError("report section twice: " + item.key());
      out[item.key()] = item.value();
    }
  if (report.error)
    out["error"] = {{"code", report.error_code},
                    {"message", report.error->message},
                    {"where", report.error->where},
                    {"hint", report.error->hint}};
  // Finds NaN now, not when the file is written.
  compact_json_text(out);
  return out;
}

std::string config_hash(const json& recipe) { return sha256_hex(compact_json_text(recipe)); }

json load_report(const std::string& path) {
  json report = parse_json_strict(
      read_file(path, static_cast<int64_t>(kMaxJsonBytes), ExitCode::kUsage), path);
  JsonReader reader(report, path);
  if (const std::string schema = reader.string("schema"); schema != kReportSchema)
    throw reader.error("schema", "is not a lathe report");
  const std::string version = reader.string("schema_version");
  if (!version.starts_with("1."))
    throw reader.error("schema_version",
                       "version " + escape_untrusted(version, 20) + " is not understood",
                       "this lathe reads versions 1.x");
  return report;
}

}  // namespace lathe
