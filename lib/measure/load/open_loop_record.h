// What an open loop noted about its batches, and the account of it. Internal to the bench folder.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "load/open_loop.h"

namespace lathe {

struct BatchRecord {
  QueuedBatch plan;
  int64_t start_ns = 0;
  int64_t end_ns = -1;  // stays so when it was never run
};

/// Throws for options or a schedule that no run can obey.
void check_open_loop(std::span<const int64_t> due_ns, const OpenLoopOptions& options);

/// `records` are in the order of their queries and without gaps; `end_ns` is when the run was over.
OpenLoopResult account_open_loop(std::span<const int64_t> due_ns,
                                 std::span<const BatchRecord> records,
                                 const OpenLoopOptions& options, LoadStop stop, int64_t end_ns);

}  // namespace lathe
