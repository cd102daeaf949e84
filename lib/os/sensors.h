// What the machine tells about a run beside its time: processor use, context switches, temperature,
// frequency, energy. Most machines tell little of it (virtual machines nothing, containers less),
// so that every value may be absent, and says why; a 0 is a 0 that was read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

enum class SensorState {
  kRead,
  kAbsent,      // the machine has no such sensor, or hides it
  kForbidden,   // it is there, and not for this user
  kUnreadable,  // it is there and gives an error or no number
};

/// "read", "absent", "forbidden", "unreadable": as in reports.
std::string_view sensor_state_name(SensorState state);

struct SensorValue {
  SensorState state = SensorState::kAbsent;
  std::optional<double> value;  // present when state is kRead
  std::string reason;           // why it is not, in one phrase
};

/// One energy counter of a processor package.
struct EnergyCounter {
  std::string domain;       // "package-0"
  int64_t microjoules = 0;  // counts up to `range`, then from 0 again
  int64_t range = 0;
};

/// One look at all sensors; costs some ten microseconds to a millisecond, so never inside of a
/// timed block.
struct SensorSnapshot {
  int64_t time_ns = 0;  // of the steady clock
  /// Of this process since its start, all threads.
  int64_t user_ns = 0;
  int64_t system_ns = 0;
  int64_t voluntary_switches = 0;
  int64_t involuntary_switches = 0;
  SensorValue temperature_c;  // the hottest zone of the processor, else of the machine
  std::string temperature_source;
  SensorValue frequency_hz;  // mean of all processors
  SensorValue throttles;     // count since boot, all processors
  SensorValue pressure_us;   // time since boot in which some task waited for a processor (PSI)
  std::vector<EnergyCounter> energy;
  SensorValue energy_state;  // without value: whether `energy` could be read
};

/// Reads below `root` ("" on a real machine; tests give a directory).
SensorSnapshot read_sensors(const std::string& root = {});

/// What a run used.
struct SensorUse {
  int64_t duration_ns = 0;
  int64_t user_ns = 0;
  int64_t system_ns = 0;
  /// Processors that were busy for this process on average: 1.8 of two threads.
  std::optional<double> cpus_used;
  int64_t voluntary_switches = 0;
  int64_t involuntary_switches = 0;
  SensorValue start_c;
  SensorValue max_c;
  std::string temperature_source;
  SensorValue min_hz;
  SensorValue mean_hz;
  SensorValue throttles;      // during the run
  SensorValue pressure;       // share of the run in which some task waited for a processor
  SensorValue joules;         // of all packages; `reason` may tell that the counter stood still
  std::string energy_domain;  // "package-0 + package-1"
};

/// Of snapshots in order of time: before, some during the run (once a second will do; counters that
/// wrap more than once between two are counted once), after. Needs two; with fewer all is absent.
SensorUse sensor_use(std::span<const SensorSnapshot> snapshots);

}  // namespace lathe
