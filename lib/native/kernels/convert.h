// Quantizes and dequantizes N-dimensional arrays from strides to strides, as ONNX's QuantizeLinear
// and DequantizeLinear: q = saturate(round_half_even(x / scale) + zero_point), x = (q - zero_point)
// * scale. NaN becomes the zero point. All processors give the same bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/element.h"
#include "kernels/nest.h"

namespace lathe {

/// float32 to uint8 or int8; or uint8, int8 or int32 to float32.
struct ConvertSpec {
  ElementType from = ElementType::kFloat32;
  ElementType to = ElementType::kUInt8;
  std::vector<float> scale = {1};         // one, or one an index of `dimension`
  std::vector<int32_t> zero_point = {0};  // as many as scales
  int dimension = -1;                     // index into the shape
  /// Quantization to pixels of c neighbouring channels with a pitch of p > c: elements c..p-1 of
  /// each pixel become the (first) zero point. Otherwise they stay as they are.
  bool fill_pitch = false;
};

struct Convert {
  TiledNest tiled;  // array 0 is written, array 1 is read, array 2 is the scale
  ElementType from = ElementType::kFloat32;
  ElementType to = ElementType::kUInt8;
  int64_t fill = 0;  // elements behind each output row that become the zero point
  std::vector<float> scale;
  std::vector<int32_t> zero_point;
};

/// Strides as in prepare_copy. Throws InternalError for another pair of types.
Convert prepare_convert(const std::vector<int64_t>& shape, const Strides& from_strides,
                        const Strides& to_strides, const ConvertSpec& spec);
int64_t convert_count(const Convert& convert);
void run_convert(const Convert& convert, const void* from, void* to, int64_t begin, int64_t end);

}  // namespace lathe
