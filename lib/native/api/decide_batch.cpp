#include "api/decide_batch.h"

#include <bit>

namespace lathe {

bool is_ready_batch(int64_t rows, int64_t most_rows) {
  return rows == most_rows || std::has_single_bit(static_cast<uint64_t>(rows));
}

BatchDecision decide_batch(std::span<const int64_t> rows, int64_t first_ns, int64_t now_ns,
                           const BatchLimits& limits, bool hurry) {
  BatchDecision fitting;
  BatchDecision ready;
  int64_t sum = 0;
  bool full = false;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] > limits.most_rows - sum) {
      full = true;
      break;
    }
    sum += rows[i];
    fitting = {i + 1, sum, 0};
    if (is_ready_batch(sum, limits.most_rows)) ready = fitting;
  }
  full = full || sum == limits.most_rows;
  const int64_t due_ns = first_ns + limits.delay_ns;
  if (!full && !hurry && now_ns < due_ns) return {0, 0, due_ns};
  return ready.requests > 0 ? ready : fitting;
}

}  // namespace lathe
