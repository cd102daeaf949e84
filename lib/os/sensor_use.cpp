#include <algorithm>

#include "os/sensors.h"

namespace lathe {
namespace {

// The growth of a counter from the first to the last snapshot.
SensorValue growth(std::span<const SensorSnapshot> snapshots, SensorValue SensorSnapshot::*field,
                   double scale) {
  const SensorValue& first = snapshots.front().*field;
  const SensorValue& last = snapshots.back().*field;
  if (!first.value) return first;
  if (!last.value) return last;
  return {SensorState::kRead, std::max(0.0, *last.value - *first.value) * scale, {}};
}

// One number of all readings; the first failure when there is none.
template <class Fold>
SensorValue folded(std::span<const SensorSnapshot> snapshots, SensorValue SensorSnapshot::*field,
                   const Fold& fold) {
  std::vector<double> values;
  for (const SensorSnapshot& snapshot : snapshots)
    if ((snapshot.*field).value) values.push_back(*(snapshot.*field).value);
  if (values.empty()) return snapshots.front().*field;
  return {SensorState::kRead, fold(values), {}};
}

const EnergyCounter* find(const SensorSnapshot& snapshot, const std::string& domain) {
  for (const EnergyCounter& counter : snapshot.energy)
    if (counter.domain == domain) return &counter;
  return nullptr;
}

void add_energy(std::span<const SensorSnapshot> snapshots, SensorUse& use) {
  use.joules = snapshots.front().energy_state;
  if (snapshots.front().energy.empty()) return;
  double microjoules = 0;
  for (const EnergyCounter& counter : snapshots.front().energy) {
    const EnergyCounter* before = &counter;
    for (const SensorSnapshot& snapshot : snapshots.subspan(1)) {
      const EnergyCounter* after = find(snapshot, counter.domain);
      if (after == nullptr || (after->microjoules < before->microjoules && after->range <= 0)) {
        use.joules = {SensorState::kUnreadable, std::nullopt,
                      after == nullptr ? "the energy counter went away during the run"
                                       : "the energy counter fell, and its range is not known"};
        return;
      }
      const int64_t step = after->microjoules - before->microjoules;
      microjoules +=
          static_cast<double>(step) + (step < 0 ? static_cast<double>(after->range) : 0.0);
      before = after;
    }
    use.energy_domain += (use.energy_domain.empty() ? "" : " + ") + counter.domain;
  }
  use.joules = {SensorState::kRead, microjoules / 1e6,
                microjoules > 0 ? "" : "the energy counter stood still during the run"};
}

}  // namespace

SensorUse sensor_use(std::span<const SensorSnapshot> snapshots) {
  SensorUse use;
  if (snapshots.size() < 2) {
    for (SensorValue* value : {&use.start_c, &use.max_c, &use.min_hz, &use.mean_hz, &use.throttles,
                               &use.pressure, &use.joules})
      value->reason = "nothing was measured";
    return use;
  }
  const SensorSnapshot& first = snapshots.front();
  const SensorSnapshot& last = snapshots.back();
  use.duration_ns = last.time_ns - first.time_ns;
  use.user_ns = last.user_ns - first.user_ns;
  use.system_ns = last.system_ns - first.system_ns;
  if (use.duration_ns > 0)
    use.cpus_used =
        static_cast<double>(use.user_ns + use.system_ns) / static_cast<double>(use.duration_ns);
  use.voluntary_switches = last.voluntary_switches - first.voluntary_switches;
  use.involuntary_switches = last.involuntary_switches - first.involuntary_switches;
  const auto least = [](const std::vector<double>& values) {
    return *std::min_element(values.begin(), values.end());
  };
  const auto most = [](const std::vector<double>& values) {
    return *std::max_element(values.begin(), values.end());
  };
  const auto mean = [](const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
  };
  use.start_c = first.temperature_c;
  use.temperature_source = first.temperature_source;
  use.max_c = folded(snapshots, &SensorSnapshot::temperature_c, most);
  use.min_hz = folded(snapshots, &SensorSnapshot::frequency_hz, least);
  use.mean_hz = folded(snapshots, &SensorSnapshot::frequency_hz, mean);
  use.throttles = growth(snapshots, &SensorSnapshot::throttles, 1);
  use.pressure = growth(snapshots, &SensorSnapshot::pressure_us,
                        use.duration_ns > 0 ? 1e3 / static_cast<double>(use.duration_ns) : 0);
  if (use.pressure.value) use.pressure.value = std::min(1.0, *use.pressure.value);
  add_energy(snapshots, use);
  return use;
}

}  // namespace lathe
