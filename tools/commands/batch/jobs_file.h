// JOBS.json: many models through chains of steps.
//
//   { "models": ["nets/*.onnx"],
//     "steps": [{"command": "quantize", "data": "cal.json"},
//               {"command": "compile", "target": "onnx"},
//               {"command": "bench", "against": "{model}", "gate": ["speedup > 1.2"]}],
//     "jobs": [{"name": "special", "model": "a.onnx", "steps": [...]}] }
//
// The keys of a step are the command's flags without dashes, as in --config. Paths are relative to
// the file. "{model}" is the job's model, "{input}" what the step before has made. The teacher of
// distill is the job's model unless its flags say otherwise.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lathe {

struct BatchStep {
  std::string command;
  nlohmann::json flags;  // an object, without "command"
};

struct BatchJob {
  std::string name;   // of its folder; unique
  std::string model;  // absolute path
  std::vector<BatchStep> steps;
};

struct JobsFile {
  std::string directory;  // absolute, of the file
  std::vector<BatchJob> jobs;
};

/// "2/8": every eighth job, beginning with the second.
struct Shard {
  int64_t index = 1;
  int64_t count = 1;
};

/// Throws Error (exit 2).
Shard parse_shard(const std::string& text);

/// Jobs in the order of the file: those of "jobs", then one for each file that "models" matches,
/// sorted by path. Throws Error (exit 2) with file and JSON pointer: unknown keys, two jobs of one
/// name, a pattern that matches nothing, a step whose command makes no artifact before one that
/// needs it.
JobsFile read_jobs(const std::string& path);

/// The jobs of one shard.
std::vector<BatchJob> jobs_of(const JobsFile& file, const Shard& shard);

}  // namespace lathe
