// Ops that make tensors from sizes, ranges or random numbers.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "evaluate/cast.h"
#include "evaluate/evaluate.h"
#include "evaluate/random.h"

namespace lathe {
namespace {

using Outputs = std::vector<at::Tensor>;

DType type_attribute(const EvaluateCall& call, const char* name, DType fallback) {
  const int64_t code = call.attributes().int_or(name, static_cast<int64_t>(fallback));
  call.require(code > 0 && code < kDTypeCount, "unknown element type");
  return static_cast<DType>(code);
}

Outputs from_double(const at::Tensor& values, DType dtype) {
  return {cast_values(values, DType::kFloat64, dtype)};
}

double real_value(const EvaluateCall& call, size_t i) {
  call.require(call.input(i).numel() == 1, "needs scalars");
  return call.input(i).to(at::kDouble).item<double>();
}

Outputs constant_of_shape(const EvaluateCall& call) {
  const std::vector<int64_t> sizes = call.ints(0);
  element_count(sizes);
  const Tensor* value = call.attributes().tensor("value");
  if (value == nullptr) return {at::zeros(sizes, at::kFloat)};
  call.require(value->numel() == 1, "value must have one element");
  const at::Tensor element = constant_values(*value);
  return {at::full(sizes, element.item(), element.options())};
}

Outputs range(const EvaluateCall& call) {
  const at::Tensor& start = call.input(0);
  if (at::isIntegralType(start.scalar_type(), false)) {
    const int64_t first = call.int_value(0), limit = call.int_value(1), delta = call.int_value(2);
    call.require(delta != 0, "delta must not be 0");
    const __int128 span = static_cast<__int128>(limit) - first, step = delta;
    const __int128 count = span / step + (span % step != 0 && (span < 0) == (step < 0) ? 1 : 0);
    call.require(count < (int64_t{1} << 48), "the range is too long");
    const int64_t size = std::max<int64_t>(0, static_cast<int64_t>(count));
    return {(at::arange(size, at::kLong) * delta + first).to(start.scalar_type())};
  }
  const double first = real_value(call, 0), limit = real_value(call, 1);
  const double delta = real_value(call, 2);
  const double count = std::ceil((limit - first) / delta);
  call.require(delta != 0.0 && std::isfinite(first) && count < 0x1p48,
               "the range is endless or too long");
  const auto size = static_cast<int64_t>(std::max(0.0, count));
  return {(at::arange(size, at::kDouble) * delta + first).to(start.scalar_type())};
}

Outputs eye_like(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  call.require(x.dim() == 2, "needs two dimensions");
  const int64_t reach = std::max(x.size(0), x.size(1));
  const int64_t k = std::clamp(call.attributes().int_or("k", 0), -reach, reach);
  at::Tensor out = at::zeros(x.sizes(), compute_type(type_attribute(call, "dtype", call.dtype(0))));
  if (out.numel() > 0) out.diagonal(k).fill_(1);
  return {out};
}

// -- random ------------------------------------------------------------------------------------

std::vector<int64_t> shape_attribute(const EvaluateCall& call) {
  std::vector<int64_t> sizes = call.attributes().required_ints("shape");
  element_count(sizes);
  return sizes;
}

Outputs normal(const EvaluateCall& call, at::IntArrayRef sizes, DType dtype) {
  const double mean = call.attributes().float_or("mean", 0.0f);
  const double scale = call.attributes().float_or("scale", 1.0f);
  RandomBits bits = random_bits(call.node);
  return from_double(normal_values(bits, sizes) * scale + mean, dtype);
}

Outputs uniform(const EvaluateCall& call, at::IntArrayRef sizes, DType dtype) {
  const double low = call.attributes().float_or("low", 0.0f);
  const double high = call.attributes().float_or("high", 1.0f);
  RandomBits bits = random_bits(call.node);
  return from_double(uniform_values(bits, sizes) * (high - low) + low, dtype);
}

Outputs random_normal(const EvaluateCall& call) {
  return normal(call, shape_attribute(call), type_attribute(call, "dtype", DType::kFloat32));
}

Outputs random_uniform(const EvaluateCall& call) {
  return uniform(call, shape_attribute(call), type_attribute(call, "dtype", DType::kFloat32));
}

Outputs random_normal_like(const EvaluateCall& call) {
  return normal(call, call.input(0).sizes(), type_attribute(call, "dtype", call.dtype(0)));
}

Outputs random_uniform_like(const EvaluateCall& call) {
  return uniform(call, call.input(0).sizes(), type_attribute(call, "dtype", call.dtype(0)));
}

Outputs bernoulli(const EvaluateCall& call) {
  const at::Tensor probability = call.input(0).to(at::kDouble);
  RandomBits bits = random_bits(call.node);
  const at::Tensor drawn = uniform_values(bits, probability.sizes()).lt(probability);
  return from_double(drawn.to(at::kDouble), type_attribute(call, "dtype", call.dtype(0)));
}

// Input: unnormalized log-probabilities [batch, classes].
Outputs multinomial(const EvaluateCall& call) {
  const at::Tensor& x = call.input(0);
  const int64_t samples = call.attributes().int_or("sample_size", 1);
  call.require(x.dim() == 2 && x.size(1) > 0, "needs [batch, classes]");
  call.require(samples > 0, "sample_size must be positive");
  const int64_t batch = x.size(0), classes = x.size(1);
  element_count({batch, samples});
  const at::Tensor cumulative = at::cumsum(at::softmax(x.to(at::kDouble), 1), 1).contiguous();
  at::Tensor out = at::empty({batch, samples}, at::kLong);
  RandomBits bits = random_bits(call.node);
  for (int64_t b = 0; b < batch; ++b) {
    const double* row = cumulative.data_ptr<double>() + b * classes;
    int64_t* drawn = out.data_ptr<int64_t>() + b * samples;
    for (int64_t i = 0; i < samples; ++i)
      drawn[i] = std::min(std::upper_bound(row, row + classes, bits.uniform()) - row, classes - 1);
  }
  return {cast_values(out, DType::kInt64, type_attribute(call, "dtype", DType::kInt32))};
}

// -- windows -----------------------------------------------------------------------------------

// a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N); N is the size, or one less when symmetric.
Outputs cosine_window(const EvaluateCall& call, double a0, double a1, double a2) {
  const int64_t size = call.int_value(0);
  element_count({size});
  const bool periodic = call.attributes().int_or("periodic", 1) != 0;
  const auto period = static_cast<double>(periodic ? size : size - 1);
  at::Tensor out = at::ones({size}, at::kDouble);  // a window of one element is 1
  double* values = out.data_ptr<double>();
  for (int64_t n = 0; n < size && size > 1; ++n) {
    const double angle = 2.0 * std::numbers::pi * static_cast<double>(n) / period;
    values[n] = a0 - a1 * std::cos(angle) + a2 * std::cos(2.0 * angle);
  }
  return from_double(out, type_attribute(call, "output_datatype", DType::kFloat32));
}

Outputs hann_window(const EvaluateCall& call) { return cosine_window(call, 0.5, 0.5, 0.0); }
Outputs hamming_window(const EvaluateCall& call) {
  return cosine_window(call, 25.0 / 46.0, 21.0 / 46.0, 0.0);
}
Outputs blackman_window(const EvaluateCall& call) { return cosine_window(call, 0.42, 0.5, 0.08); }

Outputs mel_weight_matrix(const EvaluateCall& call) {
  const int64_t mel_bins = call.int_value(0), dft_length = call.int_value(1);
  const int64_t sample_rate = call.int_value(2);
  const double low_hertz = real_value(call, 3), high_hertz = real_value(call, 4);
  call.require(mel_bins > 0 && dft_length > 0 && sample_rate > 0 && mel_bins < (1 << 24) &&
                   dft_length < (1 << 30),
               "sizes must be positive");
  call.require(low_hertz >= 0 && high_hertz >= low_hertz && std::isfinite(high_hertz),
               "edge frequencies are out of order");
  const int64_t bins = dft_length / 2 + 1;
  element_count({bins, mel_bins});
  const double low_mel = 2595.0 * std::log10(1.0 + low_hertz / 700.0);
  const double high_mel = 2595.0 * std::log10(1.0 + high_hertz / 700.0);
  const double step = (high_mel - low_mel) / static_cast<double>(mel_bins + 2);
  const auto edge = [&](int64_t i) {
    const double hertz =
        700.0 * (std::pow(10.0, (static_cast<double>(i) * step + low_mel) / 2595.0) - 1.0);
    const double bin =
        std::floor(static_cast<double>(dft_length + 1) * hertz / static_cast<double>(sample_rate));
    call.require(bin >= 0 && bin < static_cast<double>(bins),
                 "an edge frequency is above half the sample rate");
    return static_cast<int64_t>(bin);
  };
  at::Tensor out = at::zeros({bins, mel_bins}, at::kDouble);
  double* values = out.data_ptr<double>();
  for (int64_t i = 0; i < mel_bins; ++i) {
    const int64_t left = edge(i), center = edge(i + 1), right = edge(i + 2);
    if (center == left) values[center * mel_bins + i] = 1.0;
    for (int64_t j = left; j <= center && center > left; ++j)
      values[j * mel_bins + i] = static_cast<double>(j - left) / static_cast<double>(center - left);
    for (int64_t j = center; j < right; ++j)
      values[j * mel_bins + i] =
          static_cast<double>(right - j) / static_cast<double>(right - center);
  }
  return from_double(out, type_attribute(call, "output_datatype", DType::kFloat32));
}

}  // namespace

std::span<const EvaluateRow> generator_ops() {
  static const EvaluateRow rows[] = {
      {OpKind::kBernoulli, bernoulli},
      {OpKind::kBlackmanWindow, blackman_window},
      {OpKind::kConstantOfShape, constant_of_shape},
      {OpKind::kEyeLike, eye_like},
      {OpKind::kHammingWindow, hamming_window},
      {OpKind::kHannWindow, hann_window},
      {OpKind::kMelWeightMatrix, mel_weight_matrix},
      {OpKind::kMultinomial, multinomial},
      {OpKind::kRandomNormal, random_normal},
      {OpKind::kRandomNormalLike, random_normal_like},
      {OpKind::kRandomUniform, random_uniform},
      {OpKind::kRandomUniformLike, random_uniform_like},
      {OpKind::kRange, range},
  };
  return rows;
}

}  // namespace lathe
