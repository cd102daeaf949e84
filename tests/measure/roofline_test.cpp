#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <vector>

#include "peaks/kernels.h"
#include "peaks/measured_peaks.h"
#include "peaks/peak_lines.h"
#include "peaks/thread_team.h"

namespace lathe {
namespace {

constexpr int64_t kKiB = 1024;

TEST_CASE("there are kernels of both types on every machine, and they end") {
  std::set<std::string_view> names;
  for (const auto& kernels : {compute_kernels(), portable_compute_kernels()}) {
    std::set<std::string_view> dtypes;
    for (const ComputeKernel& kernel : kernels) {
      CAPTURE(kernel.instruction);
      dtypes.insert(kernel.dtype);
      CHECK(kernel.operations_a_step >= 32);
      kernel.run(0);
      kernel.run(3);
    }
    dtypes.erase("bfloat16");  // some machines
    CHECK(dtypes == std::set<std::string_view>{"float32", "int8"});
    CHECK(kernels.front().dtype == "float32");
  }
  for (const ComputeKernel& kernel : compute_kernels()) names.insert(kernel.instruction);
  CHECK(names.size() == compute_kernels().size());
}

#if defined(__x86_64__)
bool has_kernel(std::string_view instruction) {
  const std::vector<ComputeKernel> kernels = compute_kernels();
  return std::any_of(kernels.begin(), kernels.end(), [&](const ComputeKernel& kernel) {
    return kernel.instruction == instruction;
  });
}

TEST_CASE("a processor with tiles is measured by them") {
  if (!__builtin_cpu_supports("amx-int8") || amx_compute_kernels().empty()) {
    CHECK_FALSE(has_kernel("tdpbssd"));
    MESSAGE("skipped: no AMX here, or the system does not give it");
    return;
  }
  const bool bfloat16 = __builtin_cpu_supports("amx-bf16");
  CHECK(has_kernel("tdpbf16ps") == bfloat16);
  PeakProbeOptions options;
  options.budget_ns = 20'000'000;
  options.max_bytes = 16 * 1024 * kKiB;
  const MeasuredPeaks peaks = measure_peaks(options);
  CHECK(best_peak(peaks, "int8")->instruction == "tdpbssd");
  if (bfloat16) CHECK(best_peak(peaks, "bfloat16")->instruction == "tdpbf16ps");
}
#endif

TEST_CASE("peaks told in lines are read again, and nonsense is not") {
  MeasuredPeaks peaks;
  peaks.threads = 4;
  peaks.time_ns = 12;
  peaks.compute = {{"int8", "smull, sadalp", 12.5, 48}};
  peaks.bandwidth = {{"DRAM", 1 << 24, 3.25, 4, 5, 6}};
  const std::string lines = peak_lines(peaks);
  MeasuredPeaks same;
  for (size_t at = 0; at < lines.size(); at = lines.find('\n', at) + 1)
    read_peak_line(lines.substr(at, lines.find('\n', at) - at), same);
  CHECK(peak_lines(same) == lines);
  for (const char* line : {"", "\t\t\t\t", "compute\tint8\tx\tnan\t1", "compute\tint8\tx\t-1\t1",
                           "compute\tint8\tx\t1e300\t1", "memory\tL1\t1\t1\t1\t1\tx"})
    read_peak_line(line, same);
  CHECK(peak_lines(same) == lines);
}

TEST_CASE("readers stay within their granules") {
  alignas(64) static std::byte data[4 * kReadGranule];
  for (const ReadKernel read : {read_kernel(), ReadKernel(portable_read)}) {
    read(data, 0);
    read(data, sizeof data);
    read(data + kReadGranule, kReadGranule);
  }
}

TEST_CASE("working sets lie in the level that they are named after") {
  PeakProbeOptions options;
  options.threads = 2;
  options.caches = {{1, "Data", 48 * kKiB},
                    {1, "Instruction", 64 * kKiB},
                    {2, "Unified", 1024 * kKiB},
                    {3, "Unified", 32768 * kKiB}};
  const std::vector<BandwidthPeak> sets = working_sets(options);
  REQUIRE(sets.size() == 4);
  CHECK(sets[0].level == "L1");
  CHECK(sets[0].bytes == 24 * kKiB);
  CHECK(sets[1].level == "L2");
  CHECK(sets[1].bytes == 512 * kKiB);
  CHECK(sets[2].level == "L3");
  CHECK(sets[2].bytes > 1024 * kKiB);
  CHECK(options.threads * sets[2].bytes < 32768 * kKiB);
  CHECK(sets[3].level == "DRAM");
  CHECK(options.threads * sets[3].bytes >= 4 * 32768 * kKiB);

  options.threads = 96;  // several L3: a thread's share must not fit into what it shares
  const auto many = working_sets(options);
  CHECK(many.back().bytes >= 16 * 1024 * kKiB);
  CHECK(many[2].bytes >= 2 * 1024 * kKiB);

  options.max_bytes = 64 * 1024 * kKiB;
  CHECK(96 * working_sets(options).back().bytes <= options.max_bytes);
}

TEST_CASE("a machine that tells nothing about its caches still has working sets") {
  PeakProbeOptions options;
  const std::vector<BandwidthPeak> sets = working_sets(options);
  REQUIRE(sets.size() == 3);  // no L3 is assumed
  CHECK(sets[0].bytes < sets[1].bytes);
  CHECK(sets[1].bytes < sets[2].bytes);
  options.threads = -4;
  CHECK(working_sets(options).back().bytes == sets.back().bytes);
}

TEST_CASE("a team runs every member in every round") {
  for (const int threads : {1, 2, 5}) {  // also more than there are CPUs
    ThreadTeam team(threads);
    CHECK(team.threads() == threads);
    std::vector<std::atomic<int>> rounds(static_cast<size_t>(threads));
    for (int round = 0; round < 20; ++round) {
      const int64_t ns = team.run([&](int index) { ++rounds[static_cast<size_t>(index)]; });
      CHECK(ns >= 0);
    }
    for (const std::atomic<int>& count : rounds) CHECK(count.load() == 20);
  }
  CHECK(ThreadTeam(0).threads() == 1);
}

// How fast the machine is does not matter: rates are positive, and complete.
TEST_CASE("peaks are measured for every kernel and level") {
  PeakProbeOptions options;
  options.threads = 2;
  options.budget_ns = 1'000'000;
  options.max_bytes = 16 * 1024 * kKiB;
  options.caches = {{1, "Data", 32 * kKiB}, {2, "Unified", 256 * kKiB}};
  const MeasuredPeaks peaks = measure_peaks(options);
  CHECK(peaks.threads == 2);
  CHECK(peaks.time_ns > 0);
  CHECK(peaks.compute.size() == compute_kernels().size());
  for (const ComputePeak& peak : peaks.compute) {
    CHECK(peak.one_core_gops > 0);
    CHECK(peak.all_cores_gops > 0);
  }
  REQUIRE(peaks.bandwidth.size() == 3);
  for (const BandwidthPeak& peak : peaks.bandwidth) {
    CAPTURE(peak.level);
    for (const double rate :
         {peak.one_core_read, peak.all_cores_read, peak.one_core_copy, peak.all_cores_copy})
      CHECK(rate > 0);
  }
  CHECK(best_peak(peaks, "float32") != nullptr);
  CHECK(best_peak(peaks, "int8") != nullptr);
  CHECK(best_peak(peaks, "complex64") == nullptr);
  CHECK(bandwidth_of(peaks, "DRAM") != nullptr);
  CHECK(bandwidth_of(peaks, "L3") == nullptr);

  options.threads = 1;
  const MeasuredPeaks alone = measure_peaks(options);
  for (const ComputePeak& peak : alone.compute) CHECK(peak.all_cores_gops == peak.one_core_gops);
}

TEST_CASE("the best instruction is the one with the highest rate of all cores") {
  MeasuredPeaks peaks;
  peaks.compute = {{"int8", "a", 10, 20}, {"int8", "b", 8, 21}, {"float32", "c", 99, 99}};
  CHECK(best_peak(peaks, "int8")->instruction == "b");
}

}  // namespace
}  // namespace lathe
