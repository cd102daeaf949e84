#include "profiles/profile.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "ir/error.h"
#include "profiles/embedded_profiles.h"
#include "profiles/resolve_profile.h"

namespace lathe {

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  for (const EmbeddedProfile& profile : embedded_profiles()) names.emplace_back(profile.name);
  std::sort(names.begin(), names.end());
  return names;
}

Profile load_profile(const std::string& name_or_file) {
  const ResolvedProfile resolved = resolve_profile(name_or_file);
  return read_profile(resolved.document, resolved.file);
}

nlohmann::json profile_json(const std::string& name_or_file) {
  ResolvedProfile resolved = resolve_profile(name_or_file);
  read_profile(resolved.document, resolved.file);
  return std::move(resolved.document);
}

bool computes_on_cpu(const Profile& profile) { return profile.runtime.name != "tensorrt"; }

bool is_measured_by_lathe(const Profile& profile) {
  return computes_on_cpu(profile) && profile.runtime.name != "openvino";
}

bool computes_on(const PrecisionRules& rules, DType dtype) {
  return std::ranges::any_of(rules.configs, [dtype](const auto& named) {
    const PrecisionConfig& config = named.second;
    return config.activations.dtype == dtype || (config.weights && config.weights->dtype == dtype);
  });
}

std::vector<const PrecisionConfig*> allowed_configs(const Profile& profile, OpKind kind) {
  std::vector<const PrecisionConfig*> out;
  const auto it = profile.precision.ops.find(kind);
  if (it == profile.precision.ops.end()) return out;
  for (const std::string& name : it->second) out.push_back(&profile.precision.configs.at(name));
  return out;
}

std::optional<double> latency_target_ms(const TargetProfile& targets, int64_t macs) {
  for (const LatencyClass& each : targets.latency_classes)
    if (macs <= each.max_macs) return each.latency_ms;
  return targets.latency_ms;
}

int64_t batch_within_memory(const ExecutionProfile& execution, int64_t batch, int64_t free_bytes) {
  batch = std::clamp<int64_t>(batch, 1, execution.batch_max);
  if (!execution.memory_floor_bytes) return batch;
  for (int64_t floor = *execution.memory_floor_bytes; batch > 1 && free_bytes < floor; floor /= 2)
    batch /= 2;
  return batch;
}

std::optional<double> estimated_latency_ns(const Profile& profile, std::string_view dtype,
                                           int64_t macs, int64_t traffic_bytes) {
  if (!profile.rates) return std::nullopt;
  const auto rate = profile.rates->gops.find(std::string(dtype));
  if (rate == profile.rates->gops.end()) return std::nullopt;
  // 10^9 operations a second is one operation a nanosecond; 10^9 bytes a second likewise.
  const double arithmetic = 2.0 * static_cast<double>(macs) / rate->second;
  const std::optional<double>& bandwidth = profile.rates->bandwidth_gb_per_s;
  const double traffic = bandwidth ? static_cast<double>(traffic_bytes) / *bandwidth : 0.0;
  return std::max(arithmetic, traffic);
}

}  // namespace lathe
