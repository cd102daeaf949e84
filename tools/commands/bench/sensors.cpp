#include "commands/bench/sensors.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands/bench/text_parts.h"
#include "report/fields.h"
#include "report/report.h"
#include "statistics/clock.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr int64_t kTickNs = 1'000'000'000;
void put_value(json& object, const char* name, const SensorValue& value) {
  put_or_reason(object, name, value.value, value.reason);
}

json cpu_json(const SensorUse& use) {
  json cpu{{"user_ns", use.user_ns},
           {"sys_ns", use.system_ns},
           {"wall_ns", use.duration_ns},
           {"ctx_switches_vol", use.voluntary_switches},
           {"ctx_switches_invol", use.involuntary_switches}};
  put_or_reason(cpu, "cpus_used", use.cpus_used, "no time passed");
  put_or_reason(cpu, "share",
                use.cpus_used ? std::optional(*use.cpus_used / usable_cpus()) : std::nullopt,
                "no time passed");
  put_value(cpu, "pressure", use.pressure);
  for (const char* counter : {"instructions", "cycles"})
    put_or_reason(cpu, counter, std::optional<int64_t>(), "hardware counters are not read");
  return cpu;
}

json energy_json(const SensorUse& use, size_t inferences) {
  json energy{{"joules", *use.joules.value},
              {"domain", use.energy_domain},
              {"method", "energy counters of the processor packages (RAPL), all processes"},
              {"inferences", inferences}};
  const bool counted = *use.joules.value > 0 && inferences > 0;
  put_or_reason(
      energy, "joules_per_inference",
      counted ? std::optional(*use.joules.value / static_cast<double>(inferences)) : std::nullopt,
      use.joules.reason);
  return energy;
}

json thermal_json(const SensorUse& use) {
  json thermal;
  put_value(thermal, "start_c", use.start_c);
  put_value(thermal, "max_c", use.max_c);
  if (!use.temperature_source.empty()) thermal["source"] = use.temperature_source;
  put_or_reason(thermal, "throttled",
                use.throttles.value ? std::optional(*use.throttles.value > 0) : std::nullopt,
                use.throttles.reason);
  put_value(thermal, "throttles", use.throttles);
  return thermal;
}

void put_section(json& row, const char* name, const std::optional<json>& section,
                 const std::string& reason) {
  put_or_reason(row, name, section, reason);
}

}  // namespace

void SensorLog::cut() {
  cuts_.push_back(snapshots_.size());
  snapshots_.push_back(read_sensors());
}

void SensorLog::tick() {
  if (!snapshots_.empty() && now_ns() - snapshots_.back().time_ns >= kTickNs)
    snapshots_.push_back(read_sensors());
}

std::optional<SensorUse> SensorLog::part(size_t i) const {
  if (i + 1 >= cuts_.size()) return std::nullopt;
  return sensor_use(std::span(snapshots_).subspan(cuts_[i], cuts_[i + 1] - cuts_[i] + 1));
}

void count_allocations(BenchRun& run) {
  const auto count = [](const BenchSubject& subject) {
    return allocation_use([&] { subject.engine->execute(0); });
  };
  run.details.allocations = count(run.candidate);
  if (run.against) run.against_details.allocations = count(*run.against);
}

void put_sensors(json& row, const CaseDetails& details, const std::string& why_none) {
  if (!details.sensors) {
    for (const char* name : {"cpu", "energy", "thermal", "frequency"})
      put_section(row, name, std::nullopt, why_none);
    return;
  }
  const SensorUse& use = *details.sensors;
  row["cpu"] = cpu_json(use);
  std::optional<json> energy;
  if (use.joules.value) energy = energy_json(use, details.inferences);
  put_section(row, "energy", energy, use.joules.reason);
  std::optional<json> thermal;
  if (use.max_c.value || use.throttles.value) thermal = thermal_json(use);
  put_section(row, "thermal", thermal, use.max_c.reason);
  std::optional<json> frequency;
  if (use.mean_hz.value)
    frequency = json{{"min_hz", *use.min_hz.value}, {"mean_hz", *use.mean_hz.value}};
  put_section(row, "frequency", frequency, use.mean_hz.reason);
}

void put_memory(json& memory, const BenchSubject& subject, const CaseDetails& details) {
  put_or_reason(memory, "rss_bytes", subject.resident.value, subject.resident.reason);
  std::optional<int64_t> peak;
  std::optional<int64_t> count;
  if (details.allocations) {
    peak = details.allocations->peak_bytes;
    count = details.allocations->allocations;
    memory["alloc_method"] = kAllocationMethod;
  }
  put_or_reason(memory, "alloc_peak_bytes", peak, "interrupted");
  put_or_reason(memory, "alloc_count_per_iter", count, "interrupted");
}

std::string machine_text(const json& row) {
  if (field(row, "emulated").is_object()) return {};
  const json& memory = field(row, "memory");
  const auto with_bytes = [&memory](const char* key, std::string_view text) {
    const auto bytes = number_field(memory, key);
    return bytes ? fmt::format(fmt::runtime(text), bytes_cell(*bytes)) : std::string();
  };
  std::string allocator = with_bytes("alloc_peak_bytes", "allocator {}");
  if (!allocator.empty() && number_field(memory, "alloc_count_per_iter"))
    allocator += " in " + plural(memory, "alloc_count_per_iter", "allocation");
  const std::string parts[] = {with_bytes("arena_planned_bytes", "arena {} planned"),
                               std::move(allocator), with_bytes("rss_bytes", "resident {}"),
                               number_field(memory, "with_libtorch_bytes")
                                   ? with_bytes("with_libtorch_bytes", "peak {} with LibTorch")
                                   : with_bytes("hwm_bytes", "peak resident {}")};
  std::string text = joined(parts);
  if (!text.empty()) text = "  memory: " + text + "\n";

  std::string notable[2];
  if (const json& thermal = field(row, "thermal"); field(thermal, "throttled") == true) {
    notable[0] = "the processor throttled itself";
    if (const auto most = number_field(thermal, "max_c"))
      notable[0] += fmt::format(" at {:.0f} °C", *most);
  }
  if (const auto joules = number_of(at_path(row, "energy/joules_per_inference")))
    notable[1] = fmt::format("{:.3g} mJ an inference (whole processor)", *joules * 1e3);
  if (const std::string line = joined(notable); !line.empty()) text += "  " + line + "\n";
  return text;
}

}  // namespace lathe
