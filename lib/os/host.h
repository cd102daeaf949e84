// Facts about the machine that reports state. Whatever a machine does not tell (virtual machines
// and containers tell little) is nullopt; a reason stands beside it where the reader needs one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

struct CacheFacts {
  int level = 0;
  std::string type;  // "Data", "Instruction", "Unified"
  int64_t bytes = 0;
};

/// CPUs of one kind: phones have fast ones beside sparing ones.
struct CpuCluster {
  std::string model;  // "Cortex-A55"; empty: not known
  std::vector<int> cpus;
  std::optional<int64_t> max_hz;
  std::optional<int64_t> capacity;  // of 1024, beside the fastest
};

struct CpuTopology {
  std::optional<int> sockets;
  std::optional<int> cores;  // physical, of all sockets
  std::optional<bool> smt;
  std::vector<CacheFacts> caches;    // of CPU 0
  std::vector<CpuCluster> clusters;  // the fastest first; none where the system does not tell
  std::optional<int> numa_nodes;
};

struct HostFacts {
  std::string os;      // "Debian GNU/Linux 12 (bookworm)"
  std::string kernel;  // "6.1.0"
  std::string arch;    // "x86_64"
  std::string cpu_model;
  std::vector<std::string> isa;  // of known_isa_flags(), sorted
  int cpus_online = 1;
  int cpus_usable = 1;
  std::optional<double> cgroup_quota;  // CPUs
  std::optional<int64_t> mem_bytes;    // the machine's, or the cgroup's limit when that is less
  std::string virt;                    // "none", "vm", "container"
  std::optional<std::string> governor;
  std::optional<bool> turbo;
  std::optional<bool> aslr;
  CpuTopology topology;
  /// sha256 of cpu model, isa, kernel's architecture and memory: equal on equal machines.
  std::string fingerprint;
};

/// Reads /proc and /sys below `root` ("" on a real machine; tests give a directory).
HostFacts host_facts(const std::string& root = {});

CpuTopology cpu_topology(const std::string& root = {});

/// Flags of instruction sets that matter to inference, as /proc/cpuinfo spells them.
const std::vector<std::string>& known_isa_flags();

/// CPUs of the affinity mask, at most the cgroup's quota rounded up; at least 1.
int usable_cpus();

/// CPUs that the cgroups (v2 cpu.max of this group and its parents, or v1 cfs quota) grant.
std::optional<double> cgroup_cpu_quota(const std::string& root = {});
/// The smallest memory limit of this cgroup and its parents.
std::optional<int64_t> cgroup_memory_limit(const std::string& root = {});

/// Whether the host has a profile's int8 instruction: none, maddubs, vnni, amx, sdot, smmla;
/// cmsis-nn belongs to microcontrollers and is never there.
bool host_has_int8(const HostFacts& host, std::string_view instruction);

/// A measured number, or why there is none.
struct Reading {
  std::optional<int64_t> value;
  std::string reason;
};

/// Sets the high-water mark of resident memory back to the present. False when the kernel refuses
/// (then the peak covers the whole life of the process).
bool reset_peak_resident();
/// VmHWM in bytes.
Reading peak_resident_bytes();
/// VmRSS in bytes.
Reading resident_bytes();

/// Ticks of all CPUs since boot, to be subtracted from each other.
struct CpuTicks {
  int64_t total = 0;
  int64_t steal = 0;
};
std::optional<CpuTicks> cpu_ticks(const std::string& root = {});
/// Share of the time between two readings that the hypervisor gave to others; nullopt when no
/// tick passed.
std::optional<double> steal_share(const CpuTicks& before, const CpuTicks& after);

}  // namespace lathe
