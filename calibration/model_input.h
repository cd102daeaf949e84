// What a model asks for, and whether data fit it.
#pragma once

#include <string>

#include "ir/graph.h"

namespace lathe {

struct ModelInput {
  std::string name;
  DType dtype = DType::kFloat32;
  Dims dims;  // batch included; unknown sizes allow anything
};

/// Ranks are equal and every known size is met.
bool fits(const Shape& shape, const Dims& dims);
/// Throws Error (exit 3) with both shapes.
void check_fits(const Shape& shape, const ModelInput& input, const std::string& where);
/// The sizes with unknown ones as 1.
Shape shape_with_ones(const Dims& dims);
/// Throws Error (exit 3) for NaN and infinity in a floating tensor.
void check_finite(const Tensor& tensor, const std::string& where);

/// The values rounded to `dtype`: floats to nearest even, integers to nearest even and, when they
/// do not fit, Error (exit 3).
Tensor tensor_from_doubles(DType dtype, Shape shape, const std::vector<double>& values,
                           const std::string& where);
/// The same values in another type; integers go to integers without loss or with Error (exit 3).
Tensor convert_dtype(const Tensor& tensor, DType dtype, const std::string& where);

}  // namespace lathe
