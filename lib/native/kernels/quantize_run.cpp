#include "kernels/quantize_run.h"

#include "ir/x86_clones.h"
#include "kernels/rounding.h"

namespace lathe {
namespace {

[[gnu::always_inline]] inline int32_t quantized(float x, float scale, int32_t zero_point,
                                                float least, float greatest) {
  const float zero = static_cast<float>(zero_point);
  const float y = x / scale;
  return rounded_number(between(y == y ? y : 0.0f, least - zero, greatest - zero)) + zero_point;
}

template <class T>
[[gnu::always_inline]] inline void quantize(const float* from, T* to, float least, float greatest,
                                            int64_t count, RunScale scale) {
  if (scale.step == 0) {
    const float factor = *scale.scale;
    const int32_t zero = *scale.zero_point;
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i)
      to[i] = static_cast<T>(quantized(from[i], factor, zero, least, greatest));
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i)
      to[i] =
          static_cast<T>(quantized(from[i], scale.scale[i], scale.zero_point[i], least, greatest));
  }
}

template <class T>
[[gnu::always_inline]] inline void dequantize(const T* from, float* to, int64_t count,
                                              RunScale scale) {
  if (scale.step == 0) {
    const float factor = *scale.scale;
    const int32_t zero = *scale.zero_point;
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) to[i] = difference_of(from[i], zero) * factor;
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i)
      to[i] = difference_of(from[i], scale.zero_point[i]) * scale.scale[i];
  }
}

}  // namespace

LATHE_X86_CLONES void quantize_run(const float* from, void* to, ElementType type, int64_t count,
                                   RunScale scale) {
  if (type == ElementType::kInt8)
    quantize(from, static_cast<int8_t*>(to), -128.0f, 127.0f, count, scale);
  else
    quantize(from, static_cast<uint8_t*>(to), 0.0f, 255.0f, count, scale);
}

LATHE_X86_CLONES void dequantize_run(const void* from, ElementType type, float* to, int64_t count,
                                     RunScale scale) {
  if (type == ElementType::kInt8)
    dequantize(static_cast<const int8_t*>(from), to, count, scale);
  else if (type == ElementType::kInt32)
    dequantize(static_cast<const int32_t*>(from), to, count, scale);
  else
    dequantize(static_cast<const uint8_t*>(from), to, count, scale);
}

}  // namespace lathe
