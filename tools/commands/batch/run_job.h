// One job of a batch: its steps in turn, each in a process of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "commands/batch/jobs_file.h"

namespace lathe {

struct JobSettings {
  std::string program;           // lathe itself
  std::string directory;         // the steps' working directory
  std::string output_directory;  // OUT; the job's files are in OUT/NAME
  int threads = 1;
  int64_t memory_bytes = 0;
};

/// Runs `work` while nothing else of the batch runs (measurements), or beside other jobs.
using Turn = std::function<void(bool alone, const std::function<void()>& work)>;

/// The record of a job, also written to OUT/NAME/job.json:
/// {name, model, key, exit_code, steps: [{command, exit_code, duration_s, peak_bytes, artifact,
/// artifact_sha256, report, report_sha256, log, error}]}. The first step that does not end with 0
/// is the last one.
nlohmann::json run_job(const BatchJob& job, const std::string& key, const JobSettings& settings,
                       const Turn& turn);

/// The record of an earlier run, when it ended with 0, has this key and its artifacts are still
/// there with the hashes that it names; null otherwise.
nlohmann::json finished_record(const BatchJob& job, const std::string& key,
                               const JobSettings& settings);

}  // namespace lathe
