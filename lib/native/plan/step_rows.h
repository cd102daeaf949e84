// Which arrays a step computes row by row: what it writes into row i of one depends on row i of the
// others only. Rows are what the first axis counts, as a rule the samples of a batch.
#pragma once

#include <optional>
#include <vector>

#include "plan/plan.h"

namespace lathe {

struct StepRows {
  std::vector<ViewId> rows;   // all with the same number of rows
  std::vector<ViewId> whole;  // read for every row as they are: weights, tables, indices
};

/// Nothing where rows depend on each other, or where the step does not tell.
std::optional<StepRows> rows_of(const PlanStep& step, const NativePlan& plan);

}  // namespace lathe
