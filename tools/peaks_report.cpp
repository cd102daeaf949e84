#include "peaks_report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "console.h"
#include "ir/error.h"
#include "report/report.h"

namespace lathe {
namespace {

// A small core's rates are below ten.
std::string rate_text(double gops) {
  return gops < 10 ? fmt::format("{:.2f}", gops) : fmt::format("{:.0f}", gops);
}

}  // namespace

using nlohmann::json;

json peaks_json(const MeasuredPeaks& peaks) {
  json compute = json::array();
  for (const ComputePeak& peak : peaks.compute)
    compute.push_back({{"dtype", peak.dtype},
                       {"instruction", peak.instruction},
                       {"one_core_gops", peak.one_core_gops},
                       {"all_cores_gops", peak.all_cores_gops}});
  json memory = json::array();
  for (const BandwidthPeak& peak : peaks.bandwidth)
    memory.push_back({{"level", peak.level},
                      {"working_set_bytes", peak.bytes},
                      {"one_core_read_gb_per_s", peak.one_core_read},
                      {"all_cores_read_gb_per_s", peak.all_cores_read},
                      {"one_core_copy_gb_per_s", peak.one_core_copy},
                      {"all_cores_copy_gb_per_s", peak.all_cores_copy}});
  return {{"threads", peaks.threads},
          {"time_ns", peaks.time_ns},
          {"compute", std::move(compute)},
          {"memory", std::move(memory)}};
}

std::string peaks_text(const MeasuredPeaks& peaks) {
  const std::string all = fmt::format("{} threads", peaks.threads);
  std::vector<std::vector<std::string>> compute{{"GOP/s", "instruction", "1 thread", all}};
  for (const ComputePeak& peak : peaks.compute)
    compute.push_back({peak.dtype, peak.instruction, rate_text(peak.one_core_gops),
                       rate_text(peak.all_cores_gops)});
  std::vector<std::vector<std::string>> memory{
      {"GB/s", "read 1 thread", all, "copy 1 thread", all}};
  for (const BandwidthPeak& peak : peaks.bandwidth)
    memory.push_back({peak.level, fmt::format("{:.1f}", peak.one_core_read),
                      fmt::format("{:.1f}", peak.all_cores_read),
                      fmt::format("{:.1f}", peak.one_core_copy),
                      fmt::format("{:.1f}", peak.all_cores_copy)});
  return table(compute) + "\n" + table(memory);
}

json estimate_json(const EstimatedLatency& estimate, bool layers) {
  json out{{"simulated", true},
           {"memory_bound_ns", estimate.memory_bound_ns},
           {"unknown_nodes", estimate.unknown_nodes}};
  put_or_reason(out, "latency_ns", estimate.ns, estimate.reason);
  if (!layers) return out;
  json rows = json::array();
  for (const LayerEstimate& layer : estimate.layers) {
    json merged = json::array();
    for (const std::string& name : layer.merged) merged.push_back(escape_untrusted(name));
    json row{{"node", escape_untrusted(layer.node)},
             {"type", escape_untrusted(layer.type)},
             {"dtype", layer.dtype},
             {"bytes", layer.bytes},
             {"merged", std::move(merged)},
             {"compute_ns", layer.compute_ns},
             {"memory_ns", layer.memory_ns},
             {"bound", layer.memory_bound ? "memory" : "compute"}};
    put_or_reason(row, "macs", layer.macs, "shapes are not known");
    rows.push_back(std::move(row));
  }
  out["layers"] = std::move(rows);
  return out;
}

}  // namespace lathe
