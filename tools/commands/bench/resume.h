// A file of finished cases, one JSON line each, so that a sweep can be stopped and gone on with.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "commands/bench/merge.h"

namespace lathe {

/// kRead: the file is looked at and never touched (--dry-run).
enum class ResumeUse { kReadAndKeep, kRead };

class ResumeFile {
 public:
  /// Reads what is there; a last line that was cut off is dropped. Throws Error: exit 2 naming file
  /// and line for anything else that is no finished case, 9 when the file cannot be written.
  /// An empty path: nothing is kept.
  explicit ResumeFile(std::string path, ResumeUse use = ResumeUse::kReadAndKeep);
  ~ResumeFile();
  ResumeFile(const ResumeFile&) = delete;
  ResumeFile& operator=(const ResumeFile&) = delete;

  /// The stored processes of a case, or null.
  const nlohmann::json* find(const std::string& key) const;
  /// Appends the finished case and flushes it to the disk. Throws Error (exit 9).
  void keep(const std::string& key, const SweepCase& one);

 private:
  std::string path_;
  int descriptor_ = -1;
  nlohmann::json finished_ = nlohmann::json::object();
};

/// What a stored case must agree on: the model's and --against's bytes, the case, what is measured
/// (data, iterations, time, processes, seed, profile, shapes, denormals, gates that need samples),
/// host and lathe's version. Throws Error (exit 3) when a model cannot be read.
std::string resume_key(const BenchCase& one, const BenchOptions& options,
                       const BenchRequest& request);

}  // namespace lathe
