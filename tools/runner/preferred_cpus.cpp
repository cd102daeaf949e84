#include "preferred_cpus.h"

#include <sched.h>

#include <cstdlib>
#include <filesystem>

#include "api/handles.h"
#include "api/worker_cpus.h"

void use_preferred_cpus(const lathe_plan* plan) {
  const lathe::LoadedPlan& loaded = plan->loaded;
  if (loaded.metadata().execution.affinity != lathe::CpuAffinity::kBig) return;
  const std::vector<int> cpus = lathe::preferred_cpus(lathe::CpuAffinity::kBig);
  const auto threads = static_cast<size_t>(loaded.threads());
  if (cpus.size() <= threads) return;
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  for (size_t i = 0; i < threads; ++i) CPU_SET(static_cast<size_t>(cpus[i]), &wanted);
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", ignored))
    ::sched_setaffinity(std::atoi(task.path().filename().c_str()), sizeof wanted, &wanted);
}
