// Numbers as text, independent of the locale: ONNX Cast from and to string.
#pragma once

#include "run/runtime_value.h"

namespace lathe {

/// The shortest text that reads back as the same number ("0.5", "1e-05"); "NaN", "INF", "-INF";
/// booleans as 0 and 1. Throws Error (exit 3) for complex numbers.
RuntimeValue numbers_to_strings(const RuntimeValue& numbers);

/// Plain ("3.14", "+7") and scientific ("1e-5") numbers, NaN and INF in any case; fractions of
/// integers are cut off. The result has a type that Cast turns into `target` without a loss.
/// Throws Error (exit 3) for any other text and for integers out of the 64-bit range.
RuntimeValue strings_to_numbers(const Tensor& strings, DType target);

}  // namespace lathe
