// Casts of numbers by value, as ONNX's Cast: https://onnx.ai/onnx/operators/onnx__Cast.html
#pragma once

#include <cstdint>

#include "ir/dtype.h"

namespace lathe {

/// From bool, uint8, int8, int32 and int64 to bool, int32, int64 and float32.
bool can_cast(DType from, DType to);

/// Larger numbers than int32 holds lose their upper bits. Throws InternalError where can_cast is
/// false.
void run_cast(DType from_type, const void* from, DType to_type, void* to, int64_t count);

}  // namespace lathe
