// Which CPUs the workers of a queue run on.
#pragma once

#include <string>
#include <vector>

#include "artifact/plan_file.h"

namespace lathe {

/// CPUs that the calling thread may use, those that `affinity` prefers first.
std::vector<int> preferred_cpus(CpuAffinity affinity);

/// For each worker as many of `cpus` as it has threads, none twice. Empty where there are not
/// enough, or where `affinity` is kNone.
std::vector<std::vector<int>> divided_cpus(const std::vector<int>& cpus, CpuAffinity affinity,
                                           int workers, int threads);

/// The calling thread and the threads that it starts later run there. Returns why not; "" when they
/// do.
std::string run_on(const std::vector<int>& cpus);

}  // namespace lathe
