#include "commands/batch/job_key.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>

#include "os/read_file.h"
#include "os/sha256.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

// Changes when the file is written; reading gigabytes of pictures to find that out would be slow.
std::string stamp(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return "absent";
  return fmt::format("{} {} {}", status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

void add_folder(Sha256& hash, const fs::path& folder) {
  std::vector<std::string> entries;
  std::error_code failed;
  for (const auto& entry : fs::recursive_directory_iterator(folder, failed))
    entries.push_back(entry.path().string() + " " + stamp(entry.path()));
  std::sort(entries.begin(), entries.end());
  for (const std::string& entry : entries) hash.update(entry + "\n");
}

void add_file(Sha256& hash, const fs::path& path, int depth);

void add_named_files(Sha256& hash, const nlohmann::json& value, const fs::path& base, int depth) {
  if (value.is_string()) {
    const fs::path path = base / value.get<std::string>();
    std::error_code failed;
    if (fs::is_directory(path, failed))
      add_folder(hash, path);
    else if (fs::is_regular_file(path, failed))
      add_file(hash, path, depth);
  } else if (value.is_array()) {
    for (const nlohmann::json& element : value) add_named_files(hash, element, base, depth);
  }
}

void add_file(Sha256& hash, const fs::path& path, int depth) {
  hash.update(path.string() + "\n");
  if (path.extension() != ".json" || depth > 2) return hash.update(stamp(path) + "\n");
  const std::string text = read_file(path.string(), static_cast<int64_t>(kMaxJsonBytes));
  hash.update(text);
  const nlohmann::json document = nlohmann::json::parse(text, nullptr, false);
  if (!document.is_object()) return;
  for (const char* key : {"path", "labels", "extends"})
    if (document.contains(key)) add_named_files(hash, document[key], path.parent_path(), depth + 1);
}

}  // namespace

std::string job_key(const BatchJob& job, const std::string& directory) {
  Sha256 hash;
  hash.update(std::string("lathe ") + LATHE_VERSION + "\n");
  hash.update(job.model + "\n" + sha256_file(job.model) + "\n");
  // External data lie beside the model under its name.
  const fs::path model = job.model;
  std::vector<std::string> beside;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(model.parent_path(), failed)) {
    const std::string name = entry.path().filename().string();
    if (name != model.filename() && name.starts_with(model.filename().string() + ".data"))
      beside.push_back(name + " " + stamp(entry.path()));
  }
  std::sort(beside.begin(), beside.end());
  for (const std::string& name : beside) hash.update(name + "\n");
  for (const BatchStep& step : job.steps) {
    hash.update(step.command + step.flags.dump() + "\n");
    for (const auto& [key, value] : step.flags.items()) add_named_files(hash, value, directory, 0);
  }
  return hash.hex();
}

}  // namespace lathe
