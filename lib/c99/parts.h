// The first steps of a plan, part by part: each part makes some rows of their last arrays from the
// rows of the input that those need, so that the arrays between are never there as a whole. Rows at
// the seams are computed twice. (Patch-based inference: Lin et al. 2021, MCUNetV2, arXiv
// 2110.15352.)
#pragma once

#include <cstdint>
#include <optional>

#include "plan/plan.h"

namespace lathe {

struct Parts {
  size_t steps = 0;   // the first ones of the plan
  int64_t count = 1;  // in so many parts
};

/// The plan with its first steps in parts. What they make for later ones has as many rows (columns
/// of one-dimensional images) as parts at least. nullopt: one of them makes or reads what does not
/// come apart by rows.
std::optional<NativePlan> in_parts(const NativePlan& plan, const Parts& parts);

/// Multiplications of products and convolutions in one run.
int64_t plan_macs(const NativePlan& plan);

}  // namespace lathe
