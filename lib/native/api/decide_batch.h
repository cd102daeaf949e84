// Which of the waiting requests run next, and when: dynamic batching with a bound on the delay.
// Time comes in from outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lathe {

struct BatchLimits {
  int64_t most_rows = 1;  // of requests that run as one; more than 1: powers of 2 are ready to run
  int64_t delay_ns = 0;   // how long a request waits for company
};

struct BatchDecision {
  /// The first so many run now; 0: none before `due_ns`, if nothing else happens.
  size_t requests = 0;
  int64_t rows = 0;
  int64_t due_ns = 0;
};

/// The batches that are made ready beforehand: powers of 2 below `most_rows`, and that.
bool is_ready_batch(int64_t rows, int64_t most_rows);

/// `rows`: of the waiting requests that could run as one at most, in the order of arrival; at least
/// one, each at most limits.most_rows. `first_ns`: when the first one came. `hurry`: nobody else
/// will come. Requests run when there are enough, or when the first one has waited for long enough.
/// Those that run are the most whose sum is a ready batch; where no sum is, the most that fit.
BatchDecision decide_batch(std::span<const int64_t> rows, int64_t first_ns, int64_t now_ns,
                           const BatchLimits& limits, bool hurry);

}  // namespace lathe
