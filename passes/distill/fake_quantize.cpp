#include "distill/fake_quantize.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ir/error.h"

namespace lathe {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kBlock = 16384;

/// Runs of elements that share a scale: block b holds `length` elements from b * length on.
struct Blocks {
  int64_t elements = 0;
  int64_t length = 1;
  int64_t channels = 1;

  int64_t count() const { return (elements + length - 1) / length; }
  int64_t channel(int64_t block) const { return block % channels; }
};

Blocks blocks_of(const at::Tensor& x, int64_t axis) {
  if (axis < 0) return {x.numel(), kBlock, 1};
  int64_t inner = 1;
  for (int64_t i = axis + 1; i < x.dim(); ++i) inner *= x.size(i);
  return {x.numel(), std::max<int64_t>(1, inner), x.size(axis)};
}

template <class Work>
void for_blocks(const Blocks& blocks, const Work& work) {
  const int64_t grain = std::max<int64_t>(1, kBlock / blocks.length);
  at::parallel_for(0, blocks.count(), grain, [&](int64_t from, int64_t to) {
    for (int64_t b = from; b < to; ++b) {
      const int64_t first = b * blocks.length;
      work(b, first, std::min(blocks.length, blocks.elements - first));
    }
  });
}

/// Round to nearest even of |v| < 2^22 without SSE4.1, so that loops vectorize everywhere. Gives
/// +0 for what rounds to zero, as integers do.
template <class T>
inline T round_even(T v) {
  constexpr T kMagic = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);
  return (v + kMagic) - kMagic;
}

// Without branches, so that the loops vectorize. A NaN passes the two comparisons of clamped().

template <class T>
inline T clamped(T v, T low, T high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

template <class T>
inline T is_inside(T v, T low, T high) {
  const T above = v > low ? T(1) : T(0);
  const T below = v < high ? T(1) : T(0);
  return above * below;
}

template <class T>
void quantize_block(const T* x, T* y, int64_t count, T scale, T low, T high) {
  for (int64_t i = 0; i < count; ++i) y[i] = round_even(clamped(x[i] / scale, low, high)) * scale;
}

template <class T>
void input_gradient(const T* x, const T* up, T* gradient, int64_t count, T scale, T low, T high) {
  for (int64_t i = 0; i < count; ++i) gradient[i] = up[i] * is_inside(x[i] / scale, low, high);
}

template <class T>
double scale_gradient(const T* x, const T* up, int64_t count, T scale, T low, T high) {
  // Rows of terms, halved until one is left: little is lost in sums of floats.
  constexpr int64_t kRow = 256;
  T terms[kRow];
  double sum = 0;
  for (int64_t first = 0; first < count; first += kRow) {
    const int64_t length = std::min(kRow, count - first);
    const T* of = x + first;
    const T* above = up + first;
    for (int64_t i = 0; i < length; ++i) terms[i] = clamped(of[i] / scale, low, high);
    for (int64_t i = 0; i < length; ++i) {
      const T c = terms[i];
      const T ends = (c <= low ? low : T(0)) + (c >= high ? high : T(0));
      terms[i] = above[i] * (round_even(c) - c + ends);
    }
    for (int64_t i = length; i < kRow; ++i) terms[i] = 0;
    for (int64_t half = kRow / 2; half > 0; half /= 2)
      for (int64_t i = 0; i < half; ++i) terms[i] += terms[i + half];
    sum += static_cast<double>(terms[0]);
  }
  return sum;
}

/// Elements in an order that `axis` can be followed in; without an axis, that of memory.
at::Tensor laid_out(const at::Tensor& x, int64_t axis) {
  return x.contiguous(axis < 0 ? x.suggest_memory_format() : at::MemoryFormat::Contiguous);
}

template <class T>
at::Tensor quantized(const at::Tensor& x, const at::Tensor& scale, const FakeQuantization& how) {
  at::Tensor y = at::empty_like(x);
  const Blocks blocks = blocks_of(x, how.axis);
  const T* from = x.data_ptr<T>();
  const T* scales = scale.data_ptr<T>();
  T* to = y.data_ptr<T>();
  for_blocks(blocks, [&](int64_t block, int64_t first, int64_t count) {
    quantize_block(from + first, to + first, count, scales[blocks.channel(block)],
                   static_cast<T>(how.low), static_cast<T>(how.high));
  });
  return y;
}

template <class T>
at::Tensor gradient_of_input(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& up,
                             const FakeQuantization& how) {
  at::Tensor gradient = at::empty_like(x);
  const Blocks blocks = blocks_of(x, how.axis);
  const T* scales = scale.data_ptr<T>();
  const T* from = x.data_ptr<T>();
  const T* above = up.data_ptr<T>();
  T* to = gradient.data_ptr<T>();
  for_blocks(blocks, [&](int64_t block, int64_t first, int64_t count) {
    input_gradient(from + first, above + first, to + first, count, scales[blocks.channel(block)],
                   static_cast<T>(how.low), static_cast<T>(how.high));
  });
  return gradient;
}

template <class T>
at::Tensor gradient_of_scale(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& up,
                             const FakeQuantization& how) {
  const Blocks blocks = blocks_of(x, how.axis);
  const T* scales = scale.data_ptr<T>();
  const T* from = x.data_ptr<T>();
  const T* above = up.data_ptr<T>();
  // One sum a block, added in order: the result does not depend on the threads.
  std::vector<double> sums(static_cast<size_t>(blocks.count()));
  for_blocks(blocks, [&](int64_t block, int64_t first, int64_t count) {
    sums[static_cast<size_t>(block)] =
        scale_gradient(from + first, above + first, count, scales[blocks.channel(block)],
                       static_cast<T>(how.low), static_cast<T>(how.high));
  });
  std::vector<double> totals(static_cast<size_t>(blocks.channels));
  for (int64_t b = 0; b < blocks.count(); ++b)
    totals[static_cast<size_t>(blocks.channel(b))] += sums[static_cast<size_t>(b)];
  for (double& total : totals) total *= how.step_gradient;
  return at::tensor(totals, at::kDouble).to(scale.scalar_type()).reshape(scale.sizes());
}

class FakeQuantize : public torch::autograd::Function<FakeQuantize> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& scale,
                            const FakeQuantization& how) {
    context->save_for_backward({x, scale});
    context->saved_data["low"] = static_cast<int64_t>(how.low);
    context->saved_data["high"] = static_cast<int64_t>(how.high);
    context->saved_data["axis"] = how.axis;
    context->saved_data["stop_beyond"] = how.stop_beyond;
    context->saved_data["step_gradient"] = how.step_gradient;
    return x.scalar_type() == at::kDouble ? quantized<double>(x, scale, how)
                                          : quantized<float>(x, scale, how);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& scale = saved[1];
    FakeQuantization how;
    how.low = static_cast<int32_t>(context->saved_data["low"].toInt());
    how.high = static_cast<int32_t>(context->saved_data["high"].toInt());
    how.axis = context->saved_data["axis"].toInt();
    how.stop_beyond = context->saved_data["stop_beyond"].toBool();
    how.step_gradient = context->saved_data["step_gradient"].toDouble();
    // The loops read both in one order.
    const at::Tensor up = gradients[0]
                              .to(x.scalar_type())
                              .contiguous(x.is_contiguous() ? at::MemoryFormat::Contiguous
                                                            : x.suggest_memory_format());
    const bool wide = x.scalar_type() == at::kDouble;
    at::Tensor to_x = up;
    at::Tensor to_scale;
    if (how.stop_beyond && context->needs_input_grad(0))
      to_x = wide ? gradient_of_input<double>(x, scale, up, how)
                  : gradient_of_input<float>(x, scale, up, how);
    if (context->needs_input_grad(1))
      to_scale = wide ? gradient_of_scale<double>(x, scale, up, how)
                      : gradient_of_scale<float>(x, scale, up, how);
    return {to_x, to_scale, at::Tensor()};
  }
};

class LearnedScale : public torch::autograd::Function<LearnedScale> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& logarithm,
                            const at::Tensor& initial, double most) {
    at::Tensor scale = initial * at::exp(logarithm);
    scale = at::clamp_min(scale, std::numeric_limits<float>::min());
    if (most > 0) scale = at::clamp_max(scale, most);
    context->save_for_backward({scale});
    context->saved_data["most"] = most;
    return scale;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor scale = context->get_saved_variables()[0];
    const double most = context->saved_data["most"].toDouble();
    at::Tensor gradient = gradients[0] / scale;
    if (most > 0)
      gradient = at::where(scale.ge(at::scalar_tensor(most, scale.options())),
                           at::clamp_min(gradient, 0), gradient);
    return {gradient, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor fake_quantize(const at::Tensor& x, const at::Tensor& scale,
                         const FakeQuantization& how) {
  const int64_t scales = how.axis < 0 ? 1 : how.axis < x.dim() ? x.size(how.axis) : -1;
  if (scale.numel() != scales) throw InternalError("fake_quantize: scales do not fit");
  const bool wide = x.scalar_type() == at::kDouble;
  const at::ScalarType type = wide ? at::kDouble : at::kFloat;
  const at::Tensor y =
      FakeQuantize::apply(laid_out(x.to(type), how.axis), scale.to(type).contiguous(), how);
  return y.to(x.scalar_type()).contiguous(x.suggest_memory_format());
}

double step_gradient_factor(int64_t elements, const FakeQuantization& how) {
  const double largest = std::max(how.high, -how.low);
  return 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, elements)) * largest);
}

at::Tensor following_scale(const at::Tensor& weight, int32_t qmax, int64_t axis) {
  const at::NoGradGuard no_gradient;
  const at::Tensor sizes = at::abs(weight.detach());
  const at::Tensor overall = sizes.numel() == 0 ? at::zeros({}, sizes.options()) : at::amax(sizes);
  at::Tensor largest = overall;
  if (axis >= 0) {
    std::vector<int64_t> others;
    for (int64_t i = 0; i < sizes.dim(); ++i)
      if (i != axis) others.push_back(i);
    if (!others.empty()) largest = at::amax(sizes, others);
    // A channel of zeros has a scale, too; the factor is weight_params()'s.
    largest = at::where(largest.gt(0), largest, overall * 1e-4F);
  }
  const at::Tensor scale = largest.to(at::kDouble) / qmax;
  const at::Tensor usable = at::clamp_min(scale, std::numeric_limits<float>::min());
  return at::where(scale.gt(0), usable, at::ones_like(scale)).to(weight.scalar_type());
}

at::Tensor learned_scale(const at::Tensor& logarithm, const at::Tensor& initial, double most) {
  return LearnedScale::apply(logarithm, initial, most);
}

}  // namespace lathe
