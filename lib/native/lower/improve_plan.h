// Changes to a finished list of steps that save passes over memory. Each returns the number of
// changes and leaves a plan that computes the same.
#pragma once

#include "plan/plan.h"

namespace lathe {

/// Steps whose results nobody reads.
int erase_unread_steps(NativePlan& plan);

/// A table behind an integer product that alone reads it becomes part of the product.
int fold_tables(NativePlan& plan);

/// A float sum (and what follows it) behind a convolution is computed by it, in the memory of the
/// other summand, where nobody needs that later.
int fold_sums(NativePlan& plan);

/// Images that are copied into a range of another's channels are written there at once.
int write_in_place(NativePlan& plan);

/// Other arrays that are copied into a part of another, made by steps that take any strides.
int place_copies(NativePlan& plan);

/// Constants lie by size, the smallest first: what runs read of a mapped file are few pages then,
/// apart from the weights that are packed when it is loaded.
int order_constants(NativePlan& plan);

}  // namespace lathe
