// What a job's result depends on, as one hash: when it is unchanged, the job need not run again.
#pragma once

#include <string>

#include "commands/batch/jobs_file.h"

namespace lathe {

/// SHA-256 over lathe's version, the steps, the model's bytes, and every file that a flag names:
/// its bytes when it is a JSON file (and then what that file names as "path" or "labels"), else
/// size and time of modification, of folders those of each file inside.
std::string job_key(const BatchJob& job, const std::string& directory);

}  // namespace lathe
