#include "api/worker_cpus.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>

namespace lathe {
namespace {

/// What Linux says of a CPU's speed, compared with others; 0 when it says nothing.
int64_t capacity(int cpu) {
  for (const char* file : {"cpu_capacity", "cpufreq/cpuinfo_max_freq"}) {
    std::ifstream text(fmt::format("/sys/devices/system/cpu/cpu{}/{}", cpu, file));
    int64_t number = 0;
    if (text >> number) return number;
  }
  return 0;
}

}  // namespace

std::vector<int> preferred_cpus(CpuAffinity affinity) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {};
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  if (affinity != CpuAffinity::kBig) return cpus;
  std::map<int, int64_t> speed;
  for (const int cpu : cpus) speed[cpu] = capacity(cpu);
  std::stable_sort(cpus.begin(), cpus.end(), [&](int a, int b) { return speed[a] > speed[b]; });
  return cpus;
}

std::vector<std::vector<int>> divided_cpus(const std::vector<int>& cpus, CpuAffinity affinity,
                                           int workers, int threads) {
  const size_t each = static_cast<size_t>(threads);
  if (affinity == CpuAffinity::kNone || each * static_cast<size_t>(workers) > cpus.size())
    return {};
  std::vector<std::vector<int>> divided;
  auto next = cpus.begin();
  for (int worker = 0; worker < workers; ++worker, next += threads)
    divided.emplace_back(next, next + threads);
  return divided;
}

std::string run_on(const std::vector<int>& cpus) {
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  for (const int cpu : cpus) CPU_SET(static_cast<size_t>(cpu), &wanted);
  if (::sched_setaffinity(0, sizeof wanted, &wanted) == 0) return {};
  return fmt::format("a worker runs on any CPU: {}", std::strerror(errno));
}

}  // namespace lathe
