#include "commands/bench/resume.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "ir/error.h"
#include "model_facts.h"
#include "os/host.h"
#include "os/read_file.h"
#include "os/sha256.h"
#include "profiles/profile.h"
#include "report/json_text.h"
#include "report/strict_json.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr int64_t kMaxResumeFile = int64_t{1} << 30;
constexpr std::string_view kLineStart = "{\"case\":\"";

// A last line that was cut off is dropped, but only one of ours: nobody's notes.
bool is_cut_off(std::string_view rest) {
  const size_t length = std::min(rest.size(), kLineStart.size());
  return rest.substr(0, length) == kLineStart.substr(0, length);
}

std::string check_of(const json& processes) { return sha256_hex(compact_json_text(processes)); }

void write_all(int descriptor, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      throw bad_output("output.write", std::strerror(errno), path,
                       "free some space, or another file");
    text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

ResumeFile::ResumeFile(std::string path, ResumeUse use) : path_(std::move(path)) {
  if (path_.empty()) return;
  size_t complete = 0;  // bytes of whole lines
  if (std::filesystem::exists(path_)) {
    const std::string text = read_file(path_, kMaxResumeFile, ExitCode::kUsage);
    int number = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find('\n', at);
      ++number;
      const std::string where = fmt::format("{}:{}", path_, number);
      if (end == std::string::npos && is_cut_off(std::string_view(text).substr(at))) break;
      if (end == std::string::npos)
        throw bad_usage("bench.stored", "this is no file of finished cases", where,
                        "choose another --resume FILE");
      const json line = parse_json_strict(std::string_view(text).substr(at, end - at), where);
      JsonReader reader(line, where);
      reader.string("case");
      const std::string key = reader.string("key");
      const json& processes = reader.value("processes");
      if (!processes.is_array() || processes.empty())
        throw reader.error("processes", "is not a list of results");
      if (reader.string("check") != check_of(processes))
        throw bad_usage("bench.stored", "the results were changed after they were stored", where,
                        "delete the line: its case is measured again");
      finished_[key] = processes;
      reader.finish();
      at = complete = end + 1;
    }
  }
  if (use == ResumeUse::kRead) return;
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0)
    throw bad_output("output.open", std::strerror(errno), path_, "choose another --resume FILE");
  if (::ftruncate(descriptor_, static_cast<off_t>(complete)) != 0)
    throw bad_output("output.write", std::strerror(errno), path_);
}

ResumeFile::~ResumeFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

const json* ResumeFile::find(const std::string& key) const {
  const auto it = finished_.find(key);
  return it == finished_.end() ? nullptr : &*it;
}

void ResumeFile::keep(const std::string& key, const SweepCase& one) {
  if (descriptor_ < 0) return;
  const json processes = one.processes;
  const json line{{"case", one.plan.id},
                  {"check", check_of(processes)},
                  {"key", key},
                  {"processes", processes}};
  const std::string text = compact_json_text(line);
  // Longer than what is read back: this case is measured again.
  if (text.size() > kMaxJsonBytes) return;
  write_all(descriptor_, text + "\n", path_);
  ::fsync(descriptor_);
}

std::string resume_key(const BenchCase& one, const BenchOptions& options,
                       const BenchRequest& request) {
  const CommonOptions& common = options.common;
  const auto hash_of = [&](const std::string& path) {
    return path.empty() ? std::string() : sha256_file(path);
  };
  std::string data = options.data;
  if (!data.empty() && data != "random" && std::filesystem::is_regular_file(data))
    data = fmt::format("{} {}", data, hash_of(data));
  std::vector<Gate> gates = request.gates;
  if (request.recommendation)
    gates.insert(gates.end(), request.recommendation->gates.begin(),
                 request.recommendation->gates.end());
  const json identity{{"model", hash_of(one.model)},
                      {"against", hash_of(options.against)},
                      {"case", one.id},
                      {"engine", one.engine},
                      {"batch", one.batch.value_or(0)},
                      {"threads", one.threads},
                      {"data", data},
                      {"samples", options.samples},
                      {"metric", options.metric},
                      {"iterations", options.iterations},
                      {"load", load_flags(options)},
                      {"max_ns", request.max_ns},
                      {"processes", request.processes},
                      {"looks", request.looks},
                      {"tolerance", request.tolerance},
                      {"denormals", options.denormals},
                      {"rounding", options.code.rounding},
                      {"max_ram", options.code.max_ram},
                      {"fast_ram", options.code.fast_ram},
                      {"profile_ops", options.profile_ops},
                      {"seed", common.seed},
                      {"profile", load_profile(common.profile).hash},
                      {"shapes", common.input_shapes},
                      {"types", common.input_types},
                      {"values", common.input_values},
                      {"enough_samples", samples_for_gates(gates, 0)},
                      {"in_decibels", std::any_of(gates.begin(), gates.end(), is_decibel_gate)},
                      {"host", host_facts().fingerprint},
                      {"version", start_report("bench", common).tool.version}};
  return sha256_hex(compact_json_text(identity));
}

}  // namespace lathe
