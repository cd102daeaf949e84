// The rule by which waiting queries become batches: first come, first served; a free worker takes
// up to max_batch of them as soon as so many wait or the oldest one has waited for max_delay_ns.
// The threaded server, its simulation and the frame simulation all use this one function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lathe {

struct BatchRule {
  size_t max_batch = 1;
  int64_t max_delay_ns = 0;  // 0: take what is there
};

struct QueuedBatch {
  size_t first = 0;
  size_t count = 0;
  int64_t start_ns = 0;
  bool queued = false;  // ready before a worker was free: it waited for one
};

/// The batch that starts with query `first` on a worker that is free at `free_ns`. `due_ns` is
/// ascending and longer than `first`. The future part of `due_ns` only stands for waiting: nothing
/// is decided by a query that is not due yet. The last, incomplete batch waits for its delay too,
/// as the server does not know that no query follows.
QueuedBatch next_batch(std::span<const int64_t> due_ns, size_t first, int64_t free_ns,
                       const BatchRule& rule);

}  // namespace lathe
