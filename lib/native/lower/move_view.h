// Arrays that become a part of larger ones.
#pragma once

#include <vector>

#include "plan/plan.h"

namespace lathe {

/// Where the elements of an array go: the place of one is written in mixed radix, the largest
/// period first, and each digit counts by its pitch from then on.
struct ArrayMove {
  struct Digit {
    int64_t period = 1;
    int64_t pitch = 1;
    int64_t most = 0;  // of the elements of all views that were moved
  };
  std::vector<Digit> digits;
  int64_t start = 0;
};

/// A view of the array becomes the view of the same elements at their new places; its block stays.
/// False, and the view has no meaning then: their places have no strides.
bool move_view(PlanView& view, ArrayMove& move);

/// Elements of the views that were moved have places of their own.
bool keeps_apart(const ArrayMove& move);

}  // namespace lathe
