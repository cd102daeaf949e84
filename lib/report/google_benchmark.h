// The JSON of google/benchmark, for the tools that read it (compare.py, bencher, conbench, …).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lathe {

/// json_schema_version 1, one row a case (no aggregates: chart services draw every row), times in
/// nanoseconds. real_time is the median. cpu_time is CPU time per iteration where it was measured;
/// elsewhere real_time again, and the row's label says so. mhz_per_cpu is 0 when the frequency is
/// not known, and host_name is the host's fingerprint: reports hold no names of machines.
std::string to_google_benchmark(const nlohmann::json& report);

}  // namespace lathe
