#include "load/batch_queue.h"

#include <algorithm>
#include <limits>

namespace lathe {

QueuedBatch next_batch(std::span<const int64_t> due_ns, size_t first, int64_t free_ns,
                       const BatchRule& rule) {
  const size_t left = due_ns.size() - first;
  const size_t most = std::min(std::max<size_t>(1, rule.max_batch), left);
  const int64_t oldest = due_ns[first];
  const int64_t patience = std::numeric_limits<int64_t>::max() - oldest;
  int64_t ready = oldest + std::clamp<int64_t>(rule.max_delay_ns, 0, patience);
  if (left >= rule.max_batch) ready = std::min(ready, due_ns[first + most - 1]);
  QueuedBatch batch;
  batch.first = first;
  batch.start_ns = std::max(free_ns, ready);
  batch.queued = free_ns > ready;
  const auto candidates = due_ns.subspan(first, most);
  batch.count = static_cast<size_t>(
      std::upper_bound(candidates.begin(), candidates.end(), batch.start_ns) - candidates.begin());
  return batch;
}

}  // namespace lathe
