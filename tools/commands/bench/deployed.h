// What a model costs an application that links the run time alone: memory and time to the first
// answer, measured in lathe-runner. The process of the benchmark has LibTorch in it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "commands/bench/subject.h"

namespace lathe {

struct DeployedCost {
  int64_t load_ns = 0;
  int64_t first_inference_ns = 0;
  /// Resident memory after loading, after the first inference, after more of them; its peak.
  int64_t load_bytes = 0;
  int64_t first_bytes = 0;
  int64_t steady_bytes = 0;
  int64_t peak_bytes = 0;
};

struct Deployed {
  std::optional<DeployedCost> cost;
  std::string reason;  // why there is none
};

/// For the native engine at the shapes that the subject was run with; inputs are zeros.
Deployed measure_deployed(const BenchSubject& subject, const Profile& profile, int threads);

/// Puts the section "deployed" into a case's row, and its memory in place of this process's, whose
/// own becomes `with_libtorch_bytes`.
void put_deployed(nlohmann::json& row, const Deployed& deployed);

/// "as deployed: load 3.1 ms, first inference 2.2 ms, 11 MiB resident · 170 MiB with LibTorch";
/// empty where nothing was measured.
std::string deployed_text(const nlohmann::json& row);

}  // namespace lathe
