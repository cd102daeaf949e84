// How much of every group can go so that the whole network loses no more than is allowed.
#pragma once

#include <functional>
#include <vector>

#include "prune/prune_plan.h"
#include "prune/sensitivity.h"

namespace lathe {

struct RatioSearch {
  PrunePlan plan;
  double drop = 0;  // of the plan, as measured
  int evaluations = 0;
};

/// Groups that matter less lose more: each loses what it can by itself before the metric falls by
/// more than t (between the scanned sparsities linearly), and t is the largest, by bisection,
/// with which the whole network stays within `max_drop`; where even the least t is too much, a
/// share of it goes. `rows` are of scan_sensitivity with a
/// drop as value; `drop` measures a plan. Throws Error (exit 4) when not even the least step stays
/// within it.
RatioSearch search_ratios(const RemovalOrder& order, const std::vector<SensitivityRow>& rows,
                          double max_drop, const std::function<double(const PrunePlan&)>& drop);

}  // namespace lathe
