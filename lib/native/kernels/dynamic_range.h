// Scale and zero point that ONNX's DynamicQuantizeLinear chooses for an array of floats:
// https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html
#pragma once

#include <cstdint>

namespace lathe {

/// Of numbers and 0. `has_nan`: one of them was no number.
struct DynamicRange {
  float low = 0;
  float high = 0;
  bool has_nan = false;
};

DynamicRange range_of(const float* x, int64_t count);
DynamicRange joined(const DynamicRange& a, const DynamicRange& b);

/// (q - zero_point) * scale, uint8. A range without extent has the scale 1; one that is no number,
/// such a scale and zero point 0.
struct DynamicScale {
  float scale = 1;
  int32_t zero_point = 0;
};

DynamicScale dynamic_scale(const DynamicRange& range);

}  // namespace lathe
