// The open loop's queue in simulated time, in this thread: for checks against queueing theory.
#pragma once

#include <algorithm>

#include "ir/error.h"
#include "load/open_loop_record.h"

namespace lathe {

/// How long the batch [first, first + count) takes, in ns; not negative.
using ServiceTime = std::function<int64_t(size_t first, size_t count)>;

/// The same input gives the same result everywhere. `warm_up` and `late_ns` play no part.
inline OpenLoopResult simulate_open_loop(std::span<const int64_t> due_ns,
                                         const ServiceTime& service,
                                         const OpenLoopOptions& options) {
  check_open_loop(due_ns, options);
  std::vector<int64_t> free_ns(options.workers, 0);
  std::vector<BatchRecord> records;
  LoadStop stop = LoadStop::kServedAll;
  int64_t end_ns = 0;
  for (size_t next = 0; next < due_ns.size();) {
    const auto worker = std::min_element(free_ns.begin(), free_ns.end());
    const QueuedBatch plan = next_batch(due_ns, next, *worker, options.batch);
    if (plan.start_ns > options.max_ns) {
      stop = LoadStop::kMaxTime;
      end_ns = std::max(end_ns, options.max_ns);
      break;
    }
    const int64_t duration = service(plan.first, plan.count);
    if (duration < 0) throw InternalError("simulate_open_loop: a negative service time");
    *worker = plan.start_ns + duration;
    end_ns = std::max(end_ns, *worker);
    records.push_back({plan, plan.start_ns, *worker});
    next += plan.count;
  }
  return account_open_loop(due_ns, records, options, stop, end_ns);
}

}  // namespace lathe
