// The roofline of this machine, measured: what its cores compute and how fast each level of its
// memory delivers. Data sheets do not tell: frequency licences and other tenants move all of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "os/host.h"

namespace lathe {

struct PeakProbeOptions {
  int threads = 1;                       // of the columns "all cores"; at least 1
  int64_t budget_ns = 1'000'000'000;     // about so long in all
  std::vector<CacheFacts> caches;        // choose the working sets; what is missing is assumed
  int64_t max_bytes = int64_t{2} << 30;  // of buffers
};

struct ComputePeak {
  std::string dtype;         // "float32", "bfloat16", "int8"
  std::string instruction;   // "vfmadd zmm"
  double one_core_gops = 0;  // 10^9 operations a second, a multiply-add is two
  double all_cores_gops = 0;
};

/// In 10^9 bytes a second. A copy counts what it reads and what it writes.
struct BandwidthPeak {
  std::string level;  // "L1", "L2", "L3", "DRAM"
  int64_t bytes = 0;  // working set of each thread; DRAM: one core alone has that of all
  double one_core_read = 0;
  double all_cores_read = 0;
  double one_core_copy = 0;
  double all_cores_copy = 0;
};

struct MeasuredPeaks {
  int threads = 1;  // of the columns "all cores"
  std::vector<ComputePeak> compute;
  std::vector<BandwidthPeak> bandwidth;  // nearest level first; levels that are not there left out
  int64_t time_ns = 0;
};

/// Each cell is the best of many runs of about half a millisecond: what disturbs only slows down,
/// and between two time slices of a busy machine there is room for one of them. The result is
/// nevertheless a lower bound. Throws Error (exit 6 or 8) when threads or memory are refused.
MeasuredPeaks measure_peaks(const PeakProbeOptions& options);

/// The working sets that measure_peaks uses, rates still zero: L1 and L2 half full, L3 well beyond
/// L2 and shared by the threads, DRAM beyond all L3.
std::vector<BandwidthPeak> working_sets(const PeakProbeOptions& options);

/// The fastest instruction for a dtype; nullptr when none was measured.
const ComputePeak* best_peak(const MeasuredPeaks& peaks, std::string_view dtype);
/// nullptr when the machine has no such level.
const BandwidthPeak* bandwidth_of(const MeasuredPeaks& peaks, std::string_view level);

}  // namespace lathe
