// Whether a student can learn from a teacher: they must take the same inputs and give the same
// outputs.
#pragma once

#include "ir/graph.h"

namespace lathe {

/// Throws Error (exit 3) that names both shapes when number, types or shapes of inputs and outputs
/// do not fit. Symbolic and unknown dimensions fit any; types may be different floats. Inputs and
/// outputs are paired by name, what is left in order; the teacher may have more outputs.
void require_fit(const Graph& teacher, const Graph& student);

/// Gives a teacher that fits the inputs and outputs in the student's order, and none besides: both
/// then take the same samples, and all that compares them may go by place.
void align_teacher(Graph& teacher, const Graph& student);

}  // namespace lathe
