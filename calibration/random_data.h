// Seeded random tensors, the same on every machine, thread count and library version.
#pragma once

#include <cstdint>

#include "calibration/model_input.h"

namespace lathe {

/// Floats: approximately standard normal (the sum of twelve uniform numbers minus 6, exact in
/// binary, so no mathematical library is involved), within -6..6. uint8 and int8: uniform over
/// their range; other integers: uniform over 0..9, which any vocabulary holds; bool: even odds.
/// `stream` separates inputs and samples under one seed. Throws Error (exit 3) for other types.
Tensor random_tensor(DType dtype, Shape shape, uint64_t seed, uint64_t stream);

/// The shape of random data for an input: an unknown batch (axis 0) is 1. Throws Error (exit 3)
/// naming --input-shape for other unknown sizes.
Shape random_shape(const ModelInput& input);

}  // namespace lathe
