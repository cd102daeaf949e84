// Whether a student can learn from a teacher: they must take the same inputs and give the same
// outputs.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// Throws Error (exit 3) that names both shapes when number, order, types or shapes of inputs and
/// outputs do not fit. Symbolic and unknown dimensions fit any; types may be different floats.
/// Outputs are paired by name, else by place; the teacher may have more of them.
void require_fit(const Graph& teacher, const Graph& student);

}  // namespace lathe
