#include "evaluate/affine.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "evaluate/is_traced.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

constexpr int64_t kGrain = 32768;  // elements worth a thread

/// Parameters of one slice along the axis.
struct SliceParams {
  float scale;
  float zero_point;
  float low;  // bounds of round(x / scale), so that adding the zero point cannot leave the type
  float high;
};

/// Round to nearest even of |x| < 2^22 without SSE4.1, so that the loop vectorizes everywhere.
inline float round_even(float x) {
  constexpr float kMagic = 12582912.0F;  // 1.5 * 2^23
  return (x + kMagic) - kMagic;
}

template <class T>
inline T quantized(float x, const SliceParams& p) {
  float v = x / p.scale;
  v = v == v ? v : 0.0F;
  v = v > p.low ? v : p.low;
  v = v < p.high ? v : p.high;
  return static_cast<T>(static_cast<int32_t>(round_even(v) + p.zero_point));
}

template <class T>
void quantize_run(const float* x, T* y, int64_t count, const SliceParams& p) {
  for (int64_t i = 0; i < count; ++i) y[i] = quantized<T>(x[i], p);
}

/// One row whose every element has its own parameters.
template <class T>
void quantize_row(const float* x, T* y, const std::vector<SliceParams>& p) {
  for (size_t i = 0; i < p.size(); ++i) y[i] = quantized<T>(x[i], p[i]);
}

template <class T>
void dequantize_run(const T* q, float* y, int64_t count, const SliceParams& p) {
  const auto zero_point = static_cast<int32_t>(p.zero_point);
  for (int64_t i = 0; i < count; ++i)
    y[i] = static_cast<float>(static_cast<int32_t>(q[i]) - zero_point) * p.scale;
}

template <class T>
void dequantize_row(const T* q, float* y, const std::vector<SliceParams>& p) {
  for (size_t i = 0; i < p.size(); ++i)
    y[i] = static_cast<float>(static_cast<int32_t>(q[i]) - static_cast<int32_t>(p[i].zero_point)) *
           p[i].scale;
}

/// Calls run(offset, count, params) for parts of one slice, or row(offset) for rows along the last
/// axis, in parallel.
template <class Run, class Row>
void for_slices(at::IntArrayRef sizes, int64_t axis, const std::vector<SliceParams>& params,
                const Run& run, const Row& row) {
  const int64_t count = c10::multiply_integers(sizes);
  if (params.size() == 1) {
    at::parallel_for(0, count, kGrain,
                     [&](int64_t from, int64_t to) { run(from, to - from, params[0]); });
    return;
  }
  const auto channels = static_cast<int64_t>(params.size());
  const int64_t inner = c10::multiply_integers(sizes.slice(static_cast<size_t>(axis) + 1));
  if (count == 0) return;
  if (inner == 1) {
    at::parallel_for(0, count / channels, std::max<int64_t>(1, kGrain / channels),
                     [&](int64_t from, int64_t to) {
                       for (int64_t i = from; i < to; ++i) row(i * channels);
                     });
    return;
  }
  at::parallel_for(0, count / inner, std::max<int64_t>(1, kGrain / inner),
                   [&](int64_t from, int64_t to) {
                     for (int64_t i = from; i < to; ++i)
                       run(i * inner, inner, params[static_cast<size_t>(i % channels)]);
                   });
}

std::vector<SliceParams> slice_params(const at::Tensor& scale, const at::Tensor& zero_point,
                                      int64_t low, int64_t high) {
  const at::Tensor scales = scale.reshape({-1}).contiguous();
  at::Tensor zeros =
      zero_point.defined() ? zero_point.reshape({-1}).to(at::kInt) : at::zeros({1}, at::kInt);
  zeros = zeros.expand({scales.numel()}).contiguous();
  std::vector<SliceParams> params(static_cast<size_t>(scales.numel()));
  for (size_t i = 0; i < params.size(); ++i) {
    const int32_t zero = zeros.data_ptr<int32_t>()[i];
    params[i] = {scales.data_ptr<float>()[i], static_cast<float>(zero),
                 static_cast<float>(low - zero), static_cast<float>(high - zero)};
  }
  return params;
}

/// The pointer loops serve per-tensor and per-axis float32 parameters of up to 16 bits.
bool has_simple_layout(const at::Tensor& scale, const at::Tensor& zero_point,
                       const AffineLayout& layout) {
  const bool one = scale.numel() == 1;
  return scale.scalar_type() == at::kFloat && (one || (scale.dim() == 1 && !layout.block_size)) &&
         (!zero_point.defined() || zero_point.numel() == 1 || zero_point.numel() == scale.numel());
}

}  // namespace

at::Tensor spread_parameter(const EvaluateCall& call, const at::Tensor& parameter,
                            at::IntArrayRef sizes, const AffineLayout& layout) {
  if (parameter.numel() == 1) return parameter.reshape({});
  const auto rank = static_cast<int64_t>(sizes.size());
  call.require(rank >= 1, "a scalar takes one scale");
  const int64_t axis = call.normal_axis(layout.axis, rank);
  const int64_t length = sizes[static_cast<size_t>(axis)];
  if (layout.block_size == 0) {
    call.require(parameter.dim() == 1 && parameter.size(0) == length,
                 fmt::format("scale or zero point has shape {}, needs {} elements",
                             shape_text(parameter.sizes().vec()), length));
    std::vector<int64_t> shape(sizes.size(), 1);
    shape[static_cast<size_t>(axis)] = length;
    return parameter.reshape(shape);
  }
  call.require(layout.block_size > 0, "block_size must not be negative");
  std::vector<int64_t> blocks = sizes.vec();
  blocks[static_cast<size_t>(axis)] =
      length / layout.block_size + (length % layout.block_size != 0 ? 1 : 0);
  call.require(parameter.sizes() == at::IntArrayRef(blocks),
               fmt::format("scale or zero point has shape {}, its blocks need {}",
                           shape_text(parameter.sizes().vec()), shape_text(blocks)));
  const at::Tensor block = at::floor_divide(at::arange(length, at::kLong), layout.block_size);
  return at::index_select(parameter, axis, block);
}

at::Tensor quantize_values(const EvaluateCall& call, const at::Tensor& x, const at::Tensor& scale,
                           const at::Tensor& zero_point, DType to, const AffineLayout& layout) {
  call.require(is_integer(to) && dtype_bits(to) <= 32,
               fmt::format("cannot quantize to {}", dtype_name(to)));
  const int64_t low = integer_min(to);
  const int64_t high = integer_max(to);
  const at::Tensor scales = spread_parameter(call, scale, x.sizes(), layout);
  const at::Tensor zeros =
      zero_point.defined() ? spread_parameter(call, zero_point, x.sizes(), layout) : at::Tensor();
  const at::ScalarType type = storage_type(to);
  if (x.scalar_type() != at::kFloat || dtype_bits(to) > 16 || is_traced(x) || is_traced(scale) ||
      !has_simple_layout(scale, zero_point, layout)) {
    // double holds every 32-bit integer.
    at::Tensor q = at::round(x / scales).to(at::kDouble);
    q = at::where(at::isnan(q), at::zeros_like(q), q);
    if (zeros.defined()) q = q + zeros;
    return at::clamp(q, static_cast<double>(low), static_cast<double>(high)).to(type);
  }
  const at::Tensor source = x.contiguous();
  const at::Tensor y = at::empty(x.sizes(), x.options().dtype(type));
  const std::vector<SliceParams> params = slice_params(scale, zero_point, low, high);
  const int64_t axis = params.size() == 1 ? 0 : call.normal_axis(layout.axis, x.dim());
  const float* from = source.data_ptr<float>();
  const auto fill = [&](auto* target) {
    for_slices(
        x.sizes(), axis, params,
        [&](int64_t at, int64_t n, const SliceParams& p) {
          quantize_run(from + at, target + at, n, p);
        },
        [&](int64_t at) { quantize_row(from + at, target + at, params); });
  };
  if (type == at::kByte) fill(y.data_ptr<uint8_t>());
  if (type == at::kChar) fill(y.data_ptr<int8_t>());
  if (type == at::kShort) fill(y.data_ptr<int16_t>());
  if (type == at::kInt) fill(y.data_ptr<int32_t>());
  return y;
}

at::Tensor dequantize_values(const EvaluateCall& call, const at::Tensor& q, const at::Tensor& scale,
                             const at::Tensor& zero_point, const AffineLayout& layout) {
  const at::Tensor scales = spread_parameter(call, scale, q.sizes(), layout);
  const at::Tensor zeros =
      zero_point.defined() ? spread_parameter(call, zero_point, q.sizes(), layout) : at::Tensor();
  const at::ScalarType type = q.scalar_type();
  const bool narrow = type == at::kByte || type == at::kChar || type == at::kShort;
  if (!narrow || is_traced(q) || is_traced(scale) ||
      !has_simple_layout(scale, zero_point, layout)) {
    at::Tensor x = q;
    if (zeros.defined())
      x = at::isFloatingType(type) ? q - zeros : q.to(at::kLong) - zeros.to(at::kLong);
    return x.to(scale.scalar_type()) * scales;
  }
  const at::Tensor source = q.contiguous();
  const at::Tensor y = at::empty(q.sizes(), scale.options());
  const std::vector<SliceParams> params = slice_params(scale, zero_point, 0, 0);
  const int64_t axis = params.size() == 1 ? 0 : call.normal_axis(layout.axis, q.dim());
  float* target = y.data_ptr<float>();
  const auto fill = [&](const auto* from) {
    for_slices(
        q.sizes(), axis, params,
        [&](int64_t at, int64_t n, const SliceParams& p) {
          dequantize_run(from + at, target + at, n, p);
        },
        [&](int64_t at) { dequantize_row(from + at, target + at, params); });
  };
  if (type == at::kByte) fill(source.data_ptr<uint8_t>());
  if (type == at::kChar) fill(source.data_ptr<int8_t>());
  if (type == at::kShort) fill(source.data_ptr<int16_t>());
  return y;
}

std::pair<at::Tensor, at::Tensor> dynamic_parameters(const at::Tensor& x) {
  const at::Tensor none = at::zeros({}, x.options().dtype(at::kFloat));
  at::Tensor low = none;
  at::Tensor high = none;
  if (x.numel() != 0) {
    low = at::minimum(at::amin(x).to(at::kFloat), none);
    high = at::maximum(at::amax(x).to(at::kFloat), none);
  }
  const at::Tensor range = high - low;
  const at::Tensor scale = at::where(range == 0, at::ones_like(range), range / 255);
  const at::Tensor zero = at::clamp(at::round(-low / scale), 0, 255);
  return {scale, at::where(at::isnan(zero), none, zero).to(at::kByte)};
}

}  // namespace lathe
