// Which views kernels can walk through row by row.
#pragma once

#include "plan/plan.h"

namespace lathe {

/// No gaps, in any order of the dimensions.
bool is_gapless(const PlanView& view);

/// Pixels of N x C (x H) (x W), C side by side, that lie one behind the other at one distance: what
/// PixelGrid::uniform_pitch (native/program) has a pitch for.
bool has_pixel_pitch(const PlanView& view);

}  // namespace lathe
