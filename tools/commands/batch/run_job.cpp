#include "commands/batch/run_job.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>

#include "ir/error.h"
#include "names/targets.h"
#include "os/child_process.h"
#include "os/publish.h"
#include "os/read_file.h"
#include "os/sha256.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

json with_paths(const json& value, const std::string& model, const std::string& input) {
  if (value.is_string())
    return replaced(replaced(value.get<std::string>(), "{model}", model), "{input}", input);
  if (!value.is_structured()) return value;
  json copy = value;
  for (json& element : copy) element = with_paths(element, model, input);
  return copy;
}

std::string extension_of(const BatchStep& step) {
  const bool chosen = step.command == "compile" && step.flags.contains("target");
  const Target& target =
      chosen ? find_target(step.flags["target"].get<std::string>()) : targets().front();
  return std::string(target.extensions.front());
}

// What the step's report says went wrong; its last words when there is none.
std::string failure_text(const fs::path& report, const ChildResult& result) {
  std::error_code failed;
  if (fs::exists(report, failed)) {
    const json document = json::parse(
        read_file(report.string(), static_cast<int64_t>(kMaxJsonBytes)), nullptr, false);
    if (document.is_object() && document.contains("error") && document["error"].is_object())
      return document["error"].value("message", "");
  }
  if (result.signal != 0) return fmt::format("ended by signal {}", result.signal);
  return result.exit_code == 4 ? "a gate or bound was missed" : "see the log";
}

json hash_row(const fs::path& path) {
  std::error_code failed;
  return fs::exists(path, failed) ? json(sha256_file(path.string())) : json(nullptr);
}

json run_step(const BatchStep& step, size_t number, const BatchJob& job, const std::string& input,
              const JobSettings& settings, std::string& artifact) {
  const fs::path folder = fs::path(settings.output_directory) / job.name;
  const std::string stem = fmt::format("{}_{}", number, step.command);
  const fs::path config = folder / (stem + ".config.json");
  const fs::path report = folder / (stem + ".report.json");
  const fs::path log = folder / (stem + ".log");
  std::error_code ignored;
  fs::remove(report, ignored);
  fs::remove(log, ignored);
  publish_file(config.string(), with_paths(step.flags, job.model, input).dump(2) + "\n", true);

  ChildCommand command;
  command.argv = {settings.program, step.command};
  if (step.command != "distill")
    command.argv.push_back(input);
  else if (!step.flags.contains("teacher"))
    command.argv.insert(command.argv.end(), {"--teacher", job.model});
  command.argv.insert(command.argv.end(),
                      {"--config", config.string(), "--report", report.string(), "--force",
                       "--threads", std::to_string(settings.threads)});
  if (settings.memory_bytes > 0)
    command.argv.insert(command.argv.end(),
                        {"--max-memory", fmt::format("{}B", settings.memory_bytes)});
  if (step.command != "bench") {
    artifact = (folder / (stem + extension_of(step))).string();
    command.argv.insert(command.argv.end(), {"-o", artifact});
  }
  command.working_directory = settings.directory;
  command.output_file = command.error_file = log.string();
  command.interrupt_grace_seconds = 5;
  const ChildResult result = run_child(command);

  json row = {{"command", step.command},
              {"exit_code", result.signal != 0 ? 128 + result.signal : result.exit_code},
              {"duration_s", result.wall_seconds},
              {"peak_bytes", result.max_resident_bytes},
              {"log", log.string()},
              {"report", report.string()},
              {"report_sha256", hash_row(report)}};
  if (step.command != "bench") {
    row["artifact"] = artifact;
    row["artifact_sha256"] = hash_row(artifact);
  }
  if (row["exit_code"] != 0) row["error"] = failure_text(report, result);
  return row;
}

fs::path record_path(const BatchJob& job, const JobSettings& settings) {
  return fs::path(settings.output_directory) / job.name / "job.json";
}

}  // namespace

json run_job(const BatchJob& job, const std::string& key, const JobSettings& settings,
             const Turn& turn) {
  fs::create_directories(fs::path(settings.output_directory) / job.name);
  json record = {{"schema", "lathe.job"},
                 {"schema_version", "1.0"},
                 {"name", job.name},
                 {"model", job.model},
                 {"key", key},
                 {"steps", json::array()}};
  std::string input = job.model;
  int exit_code = 0;
  for (size_t i = 0; i < job.steps.size() && exit_code == 0; ++i) {
    const BatchStep& step = job.steps[i];
    std::string artifact = input;
    turn(step.command == "bench",
         [&] { record["steps"].push_back(run_step(step, i + 1, job, input, settings, artifact)); });
    exit_code = record["steps"].back()["exit_code"];
    input = artifact;
  }
  record["exit_code"] = exit_code;
  publish_file(record_path(job, settings).string(), record.dump(2) + "\n", true);
  return record;
}

json finished_record(const BatchJob& job, const std::string& key, const JobSettings& settings) {
  const fs::path path = record_path(job, settings);
  std::error_code failed;
  if (!fs::exists(path, failed)) return nullptr;
  try {
    const json record = json::parse(read_file(path.string(), static_cast<int64_t>(kMaxJsonBytes)));
    if (record.at("key") != key || record.at("exit_code") != 0) return nullptr;
    for (const json& step : record.at("steps"))
      for (const std::string file : {"artifact", "report"})
        if (step.contains(file) &&
            step.at(file + "_sha256") != hash_row(step.at(file).get<std::string>()))
          return nullptr;
    return record;
  } catch (const json::exception&) {
    // Not a record of ours, or cut short: the job runs again.
    return nullptr;
  }
}

}  // namespace lathe
