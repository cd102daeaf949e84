// What a case's timed part used of the machine: processor time, temperature, frequency, energy, and
// what its inferences allocate.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "commands/bench/bench_run.h"
#include "os/sensors.h"

namespace lathe {

/// Readings taken between timed iterations: where one part of the measurement ends and the next
/// begins, and once a second.
class SensorLog {
 public:
  /// Ends a part, if one has begun, and begins the next.
  void cut();
  /// To be asked between iterations; reads when the last reading is a second old.
  void tick();
  /// Part `i`, between cut number i and the next; nullopt when it did not end.
  std::optional<SensorUse> part(size_t i) const;

 private:
  std::vector<SensorSnapshot> snapshots_;
  std::vector<size_t> cuts_;  // into snapshots_
};

/// One inference of each model with LibTorch's allocator watched, after the timed part.
void count_allocations(BenchRun& run);

/// cpu, energy, thermal and frequency of a case's row; what is not known is null with a reason,
/// `why_none` where no sensor was read.
void put_sensors(nlohmann::json& row, const CaseDetails& details, const std::string& why_none);

/// rss_bytes, alloc_peak_bytes and alloc_count_per_iter with their method, into the row's memory.
void put_memory(nlohmann::json& memory, const BenchSubject& subject, const CaseDetails& details);

/// "memory: arena 1.2 MiB planned · …", and a line of what is worth knowing of temperature and
/// energy; of a case's row. Empty when nothing is known.
std::string machine_text(const nlohmann::json& row);

}  // namespace lathe
