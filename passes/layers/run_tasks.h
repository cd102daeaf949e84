// Pieces of one layer's arithmetic on several threads.
#pragma once

#include <functional>
#include <vector>

namespace lathe {

/// Runs every task once, each alone on its thread and under InferenceMode. Cut the work the same
/// way for any number of threads, and its result is the same. The first exception is rethrown.
void run_tasks(const std::vector<std::function<void()>>& tasks, int threads);

}  // namespace lathe
