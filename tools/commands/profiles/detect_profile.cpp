#include "commands/profiles/detect_profile.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "profiles/host_profile.h"

namespace lathe {
namespace {

using nlohmann::json;

// "AMD EPYC 9355" -> "amd-epyc-9355": a name that flags and file systems take.
std::string slug(const std::string& text) {
  std::string out;
  for (const char c : text.substr(0, 60)) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (word)
      out += c;
    else if (c >= 'A' && c <= 'Z')
      out += static_cast<char>(c - 'A' + 'a');
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out.empty() ? "host" : out;
}

double rounded(double value) { return std::round(value * 10) / 10; }

json rates_json(const MeasuredPeaks& peaks, const Profile& base) {
  std::string note = fmt::format("measured with {} threads", peaks.threads);
  json gops = json::object();
  const auto put = [&](const std::string& dtype, const char* measured) {
    if (const ComputePeak* peak = best_peak(peaks, measured); peak != nullptr)
      gops[dtype] = std::max(0.1, rounded(peak->all_cores_gops));
  };
  for (const char* dtype : {"float32", "bfloat16", "int8"}) {
    put(dtype, dtype);
    if (const ComputePeak* peak = best_peak(peaks, dtype); peak != nullptr)
      note += fmt::format(", {} by {}", dtype, peak->instruction);
  }
  if (base.rates)
    for (const auto& [dtype, rate] : base.rates->gops)
      if (!gops.contains(dtype)) {
        put(dtype, dtype == "int4" ? "int8" : "float32");
        note += fmt::format("; {} counted as {}", dtype, dtype == "int4" ? "int8" : "float32");
      }
  json out{{"source", "measured"}, {"note", note}, {"gops", std::move(gops)}};
  if (const BandwidthPeak* memory = bandwidth_of(peaks, "DRAM"))
    out["bandwidth_gb_per_s"] = std::max(0.1, rounded(memory->all_cores_read));
  return out;
}

}  // namespace

json detected_profile(const HostFacts& host, const MeasuredPeaks& peaks, const Profile& base) {
  const int cores = std::clamp(host.cpus_usable, 1, 4096);
  const std::string model = escape_untrusted(host.cpu_model, 100);
  json out{{"extends", base.name},
           {"name", fmt::format("{}-x{}", slug(host.cpu_model), cores)},
           {"version", "1"},
           {"description", fmt::format("{}, {} usable CPUs, detected", model, cores)},
           {"cpu",
            {{"arch", host.arch},
             {"isa", host.isa},
             {"cores", cores},
             {"int8", int8_instruction(host)}}},
           {"execution", {{"threads", cores}}},
           {"rates", rates_json(peaks, base)}};
  // Modes of a larger machine use what is there.
  for (const auto& [mode, settings] : base.power_modes)
    if (settings.threads > cores) out["power_modes"][mode]["threads"] = cores;
  if (host.mem_bytes && *host.mem_bytes > 0) out["memory"]["ram_bytes"] = *host.mem_bytes;
  return out;
}

}  // namespace lathe
