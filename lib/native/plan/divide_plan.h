// A plan of many samples as the same plan of fewer, to be run for one part after another: what a
// part needs stays in the caches, threads take parts instead of waiting for each other at every
// step, and the arena is smaller.
#pragma once

#include <optional>

#include "plan/plan.h"

namespace lathe {

/// The plan of the first of `parts` equal parts of all rows (step_rows.h), which computes any other
/// part from its inputs. Nothing where arrays have no such parts: rows depend on each other, do not
/// divide evenly, or do not lie in memory one behind the other. Its constants are
/// those of `plan`. Throws Error as verify_plan does.
std::optional<NativePlan> divide_plan(const NativePlan& plan, int64_t parts);

/// Bytes from the input (output) of a part to that of the next.
int64_t part_bytes(const NativePlan& part, const PlanValue& port);

/// How many parts are likely to be faster on so many threads than the whole; 1: the whole is. Plans
/// whose arrays are small, or little beside their weights, stay whole. Whatever the threads, the
/// bytes of the results are the same.
int64_t worthwhile_parts(const NativePlan& plan, int threads);

}  // namespace lathe
