// Signed bytes of the caller are read by products as they are.
#pragma once

#include "plan/plan.h"

namespace lathe {

/// Whether a lookup by this table only turns signed bytes into unsigned ones, or back.
bool turns_signs(const NativePlan& plan, ViewId table);

/// Where a table only turns the signed bytes of an input into unsigned ones for products, they read
/// the input themselves (an int8 view with the unsigned numbers' zero point), and the array between
/// is gone. Returns the number of such tables.
int read_signed_inputs(NativePlan& plan);

}  // namespace lathe
