// Can measurements on this machine be believed? Facts that disturb them, each with a verdict and
// what to do about it. The last word has the noise floor: what the same kernel shows when it is
// compared with itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comparison/comparison.h"
#include "os/host.h"
#include "peaks/measured_peaks.h"

namespace lathe {

struct DoctorFacts {
  HostFacts host;
  int threads = 1;                      // that engines would use
  std::string build_type;               // "release", "debug"
  std::vector<std::string> sanitizers;  // of this build
  std::optional<double> steal;          // share of the time, while the doctor measured
  std::optional<double> psi_cpu;  // share of the last 10 s in which some task waited for a CPU
  std::optional<std::string> huge_pages;   // "always", "madvise", "never"
  std::optional<std::string> spin_count;   // GOMP_SPINCOUNT, as libgomp saw it
  std::optional<std::string> wait_policy;  // OMP_WAIT_POLICY
  std::optional<bool> on_battery;          // nullopt: there is none
  std::optional<Comparison> self;          // a kernel compared with itself
  std::optional<MeasuredPeaks> peaks;
};

/// Everything but threads, build, self and peaks. Reads /proc and /sys below `root` ("" on a real
/// machine; tests give a directory); steal is left to the caller, who knows when the time began.
DoctorFacts doctor_facts(const std::string& root = {});

/// Compares a kernel of a third of a millisecond, in cache and in one thread, with itself.
Comparison compare_with_itself(double tolerance, int64_t max_ns, const Conduct& conduct = {});

enum class Health { kOk, kWarn, kUnknown };
/// "ok", "warn", "unknown": as in reports.
std::string_view health_name(Health health);

struct DoctorRow {
  std::string id;    // "governor"; stable
  std::string fact;  // "powersave"; what is unknown says so
  Health health = Health::kUnknown;
  std::string advice;  // what to do; empty when there is nothing
};

/// One row a fact, always all of them and in this order: cpu, threads, affinity, cgroup, smt, numa,
/// virtualization, governor, turbo, battery, build, aslr, huge_pages, spinning, steal, pressure,
/// compute, memory, noise_floor.
std::vector<DoctorRow> diagnose(const DoctorFacts& facts, double tolerance);

/// The smallest change of speed that a comparison here can promise to tell (three noise floors);
/// nullopt when it could not be measured.
std::optional<double> resolvable_change(const DoctorFacts& facts);

/// Whether this machine resolves `tolerance`: `bench --doctor` then exits 0, else 5 (inconclusive),
/// whatever the other rows warn of.
bool can_resolve(const DoctorFacts& facts, double tolerance);

}  // namespace lathe
