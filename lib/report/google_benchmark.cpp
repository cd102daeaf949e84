#include "report/google_benchmark.h"

#include <nlohmann/json.hpp>

#include <cmath>

#include "report/fields.h"
#include "report/json_text.h"
#include "report/measures.h"

namespace lathe {
namespace {

using nlohmann::json;

json context_of(const json& report) {
  const json& host = field(report, "host");
  json caches = json::array();
  for (const json& cache : list_field(field(host, "cpu"), "caches"))
    caches.push_back(
        {{"type", text_field(cache, "type")},
         {"level", std::llround(number_field(cache, "level").value_or(0))},
         {"size", std::llround(number_field(cache, "bytes").value_or(0))},
         {"num_sharing", std::llround(number_field(cache, "num_sharing").value_or(0))}});
  double hertz = 0;
  for (const json& row : list_field(report, "cases"))
    hertz = std::max(hertz, number_field(field(row, "frequency"), "mean_hz").value_or(0));
  const json& governor = field(host, "governor");
  const std::string build = text_field(field(report, "tool"), "build_type");
  return {{"date", text_field(field(report, "run"), "started_utc")},
          {"host_name", text_field(host, "fingerprint")},
          {"executable", "lathe"},
          {"num_cpus", std::llround(number_field(host, "cpus_usable").value_or(1))},
          {"mhz_per_cpu", std::llround(hertz / 1e6)},
          {"cpu_scaling_enabled", governor.is_string() && governor != "performance"},
          {"caches", std::move(caches)},
          {"load_avg", json::array()},
          {"library_version", text_field(field(report, "tool"), "version")},
          {"library_build_type", build == "Debug" || build == "debug" ? "debug" : "release"},
          {"json_schema_version", 1}};
}

}  // namespace

std::string to_google_benchmark(const json& report) {
  json rows = json::array();
  for (const json& row : list_field(report, "cases")) {
    const auto median = number_field(field(row, "latency"), "median");
    const std::string name = case_name(report, row);
    json out{{"name", name},
             {"run_name", name},
             {"run_type", "iteration"},
             {"family_index", rows.size()},
             {"per_family_instance_index", 0},
             {"repetitions", 1},
             {"repetition_index", 0},
             {"threads", 1},
             {"iterations", std::llround(number_field(field(row, "samples"), "n").value_or(0))},
             {"time_unit", "ns"}};
    if (!median) {
      out["error_occurred"] = true;
      const std::string why = text_field(field(row, "latency"), "median_reason");
      out["error_message"] = why.empty() ? "not measured" : why;
      for (const char* key : {"instructions", "ram_bytes", "flash_bytes"})
        if (const auto counted = number_field(field(row, "emulated"), key)) out[key] = *counted;
      out["real_time"] = 0;
      out["cpu_time"] = 0;
      rows.push_back(std::move(out));
      continue;
    }
    out["real_time"] = *median;
    // CPU time was taken over warm-up and samples together: as a share it holds for one inference.
    if (const auto cpus = number_field(field(row, "cpu"), "cpus_used"); cpus && *cpus > 0) {
      out["cpu_time"] = *median * *cpus;
    } else {
      out["cpu_time"] = *median;
      out["label"] = "cpu_time is real_time: CPU time was not measured";
    }
    if (const auto rate = number_field(field(row, "throughput"), "items_per_s"))
      out["items_per_second"] = *rate;
    rows.push_back(std::move(out));
  }
  return json_text({{"context", context_of(report)}, {"benchmarks", std::move(rows)}});
}

}  // namespace lathe
