#include "commands/batch/jobs_file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <set>

#include "names/targets.h"
#include "os/glob.h"
#include "os/quantity.h"
#include "os/read_file.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxJobs = 100'000;
constexpr size_t kMaxSteps = 32;

// The batch gives these to every step itself.
const std::set<std::string> kOwnFlags{"output", "report", "config",  "json",       "force",
                                      "model",  "models", "threads", "max-memory", "dry-run"};

std::vector<BatchStep> read_steps(JsonReader& reader, const std::vector<std::string>& commands) {
  std::vector<BatchStep> steps;
  for (JsonReader& step : reader.objects("steps")) {
    BatchStep read;
    read.command = step.choice("command", commands);
    // It names the artifact's file.
    if (read.command == "compile" && step.has("target")) step.choice("target", target_names());
    read.flags = nlohmann::json::object();
    for (const std::string& key : step.keys()) {
      if (key == "command") continue;
      if (kOwnFlags.contains(key)) throw step.error(key, "the batch sets this flag itself");
      read.flags[key] = step.value(key);
    }
    steps.push_back(std::move(read));
  }
  if (steps.empty() || steps.size() > kMaxSteps)
    throw reader.error("steps", fmt::format("expected 1 to {} steps", kMaxSteps));
  return steps;
}

// A name that is safe as a folder.
std::string folder_name(const std::string& text) {
  std::string name;
  for (const char c : text)
    name +=
        std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' ? c : '_';
  if (name.empty() || name[0] == '.') name.insert(0, "_");
  return name.substr(0, 200);
}

// Files of one folder whose names match the pattern after the last slash.
std::vector<std::string> matching_files(const fs::path& pattern) {
  std::vector<std::string> found;
  const Glob glob(pattern.filename().string());
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(pattern.parent_path(), failed))
    if (entry.is_regular_file(failed) && glob.matches(entry.path().filename().string()))
      found.push_back(entry.path().string());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

Shard parse_shard(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos)
    throw bad_usage("usage.shard", "'" + escape_untrusted(text) + "' is no shard", "--shard",
                    "write 2/8 for the second of eight");
  Shard shard;
  shard.count = parse_integer(text.substr(slash + 1), "--shard", 1, 1 << 20);
  shard.index = parse_integer(text.substr(0, slash), "--shard", 1, shard.count);
  return shard;
}

JobsFile read_jobs(const std::string& path) {
  const std::vector<std::string> commands{"quantize", "prune", "distill", "compile", "bench"};
  const nlohmann::json document = parse_json_strict(
      read_file(path, static_cast<int64_t>(kMaxJsonBytes), ExitCode::kUsage), path);
  JsonReader reader(document, path);
  JobsFile file;
  file.directory = fs::absolute(path).parent_path().string();
  const fs::path base = file.directory;
  std::vector<BatchStep> shared;
  if (reader.has("steps")) shared = read_steps(reader, commands);

  std::set<std::string> names;
  const auto add = [&](BatchJob job, JsonReader& at, std::string_view key) {
    if (!names.insert(job.name).second)
      throw at.error(key, "two jobs have the name \"" + escape_untrusted(job.name) + "\"",
                     "give each entry of \"jobs\" its own \"name\"");
    if (file.jobs.size() == kMaxJobs)
      throw at.error(key, fmt::format("more than {} jobs", kMaxJobs));
    file.jobs.push_back(std::move(job));
  };
  for (JsonReader& entry : reader.objects_or_none("jobs")) {
    BatchJob job;
    job.model = (base / entry.string("model")).lexically_normal().string();
    job.name = folder_name(entry.string_or("name", fs::path(job.model).stem().string()));
    job.steps = entry.has("steps") ? read_steps(entry, commands) : shared;
    if (job.steps.empty())
      throw entry.error("steps", "neither this job nor the file has \"steps\"");
    entry.finish();
    add(std::move(job), entry, "name");
  }
  for (const std::string& pattern : reader.strings_or("models", {})) {
    if (shared.empty()) throw reader.error("steps", "\"models\" need \"steps\"");
    const std::vector<std::string> found = matching_files((base / pattern).lexically_normal());
    if (found.empty())
      throw reader.error("models", "no file matches \"" + escape_untrusted(pattern) + "\"");
    for (const std::string& model : found)
      add({folder_name(fs::path(model).stem().string()), model, shared}, reader, "models");
  }
  reader.finish();
  if (file.jobs.empty())
    throw reader.error("", "there are no jobs", "write \"models\" and \"steps\", or \"jobs\"");
  return file;
}

std::vector<BatchJob> jobs_of(const JobsFile& file, const Shard& shard) {
  std::vector<BatchJob> jobs;
  for (size_t i = 0; i < file.jobs.size(); ++i)
    if (static_cast<int64_t>(i) % shard.count == shard.index - 1) jobs.push_back(file.jobs[i]);
  return jobs;
}

}  // namespace lathe
