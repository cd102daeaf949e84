// Integer products by oneDNN: it has kernels for AMX, which lathe's own products do not use. What
// oneDNN cannot do in one pass (rounding twice, tables) is done behind it, row by row.
#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "kernels/byte_binary.h"
#include "kernels/lookup.h"
#include "program/bound_step.h"
#include "program/onednn_step.h"
#include "program/parallel_for.h"
#include "program/pixel_grid.h"

namespace lathe {
namespace {

using dnnl::algorithm;
using dnnl::memory;

/// Clamps, adds the residual and looks up, in place.
struct ByteFinish {
  PlanEpilogue epilogue;
  ViewAddress output;
  ViewAddress residual;
  const uint8_t* table = nullptr;
  int64_t rows = 0;
  int64_t width = 0;
  int64_t pitch = 0;
  int64_t residual_pitch = 0;

  bool clamps() const { return epilogue.low > 0 || epilogue.high < 255; }
  bool is_needed() const { return clamps() || residual.valid() || table != nullptr; }

  void run(const ProgramMemory& memory, int64_t begin, int64_t end) const {
    auto* to = reinterpret_cast<uint8_t*>(output.in(memory));
    const uint8_t* other =
        residual.valid() ? reinterpret_cast<const uint8_t*>(residual.in(memory)) : nullptr;
    ByteBinary sum;
    sum.factor_a = epilogue.own_factor;
    sum.factor_b = epilogue.residual_factor;
    sum.term = epilogue.offset;
    sum.low = epilogue.sum_low;
    sum.high = epilogue.sum_high;
    for (int64_t row = begin; row < end; ++row) {
      uint8_t* line = to + row * pitch;
      if (clamps())
        for (int64_t i = 0; i < width; ++i)
          line[i] = std::clamp(line[i], epilogue.low, epilogue.high);
      if (other != nullptr)
        run_byte_binary(sum, line, other + row * residual_pitch, line, width);
      if (table == nullptr) continue;
      const Lookup lookup{table, line, width, line, width, 1, width};
      run_lookup(lookup, 0, lookup_count(lookup));
    }
  }
};

class BoundOnednnProduct : public BoundStep {
 public:
  BoundOnednnProduct(std::unique_ptr<OnednnStep> product, ByteFinish finish, int threads)
      : product_(std::move(product)), finish_(finish), threads_(threads) {}

  void run(const ProgramMemory& memory) override {
    product_->run(memory);
    if (!finish_.is_needed()) return;
    parallel_for(threads_, finish_.rows, finish_.rows * finish_.width * 3,
                 [&](int, int64_t begin, int64_t end) { finish_.run(memory, begin, end); });
  }
  std::string_view implementation() const override { return product_->implementation(); }
  bool uses_pool() const override { return true; }
  size_t scratch_bytes() const override { return product_->scratch_bytes(); }
  void set_scratch(std::byte* bytes) override { product_->set_scratch(bytes); }

 private:
  std::unique_ptr<OnednnStep> product_;
  ByteFinish finish_;
  int threads_;
};

memory::desc image_desc(const PixelGrid& grid, DType dtype) {
  const auto type = dtype == DType::kUInt8 ? memory::data_type::u8 : memory::data_type::f32;
  return {{grid.images, grid.channels, grid.height, grid.width},
          type,
          {grid.image_pitch, 1, grid.row_pitch, grid.pixel_pitch}};
}

std::optional<algorithm> function_of(ProductActivation activation) {
  switch (activation) {
    case ProductActivation::kNone: return std::nullopt;
    case ProductActivation::kSilu: return algorithm::eltwise_swish;
    case ProductActivation::kHardSwish: return algorithm::eltwise_hardswish;
    case ProductActivation::kSigmoid: return algorithm::eltwise_logistic;
    case ProductActivation::kGelu: return algorithm::eltwise_gelu_erf;
    case ProductActivation::kTanh: return algorithm::eltwise_tanh;
  }
  return std::nullopt;
}

int64_t behind(int64_t out, int64_t stride, int64_t kernel, int64_t dilation, int64_t in,
               int64_t begin) {
  return (out - 1) * stride + (kernel - 1) * dilation + 1 - in - begin;
}

struct Factors {
  std::vector<float> scale;
  std::vector<float> bias;  // in units of the sums
};

/// oneDNN gives scale * (sum + bias). Its sums leave out the input's zero point where it is told of
/// it; the plan's terms have that in them.
Factors factors_of(const ProductStep& step, const BindContext& context, bool own_zero_point) {
  const PlanView& weights = context.view(step.weights);
  const int64_t row = weights.shape[1] * weights.shape[2];
  const auto* w = context.constant<int8_t>(step.weights);
  const auto* scale = context.constant<float>(step.scale);
  const auto* term = context.constant<float>(step.bias);
  Factors factors;
  for (int64_t c = 0; c < weights.shape[0]; ++c) {
    double bias = double{term[c]} / scale[c];
    if (own_zero_point) {
      int64_t sum = 0;
      for (int64_t k = 0; k < row; ++k) sum += w[c * row + k];
      bias += static_cast<double>(step.padding) * static_cast<double>(sum);
    }
    factors.scale.push_back(scale[c]);
    factors.bias.push_back(static_cast<float>(bias));
  }
  return factors;
}

dnnl::primitive_attr attributes_of(const ProductStep& step, const Factors& factors, bool is_float,
                                   bool own_zero_point) {
  const PlanEpilogue& epilogue = step.epilogue;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_output_scales(2, factors.scale);
  if (own_zero_point) attributes.set_zero_points(DNNL_ARG_SRC, 0, {step.padding});
  dnnl::post_ops after;
  if (const auto function = function_of(epilogue.activation)) {
    after.append_eltwise(1.0F, *function, 1.0F, 0.0F);
    if (!is_float)
      after.append_eltwise(1.0F, algorithm::eltwise_linear, epilogue.inverse_scale,
                           epilogue.zero_point);
  }
  if (is_float && (epilogue.float_low > -3e38F || epilogue.float_high < 3e38F))
    after.append_eltwise(1.0F, algorithm::eltwise_clip, epilogue.float_low, epilogue.float_high);
  attributes.set_post_ops(after);
  return attributes;
}

}  // namespace

std::unique_ptr<BoundStep> bind_onednn_product(const ProductStep& step,
                                               const BindContext& context) {
  const PlanView& to_view = context.view(step.output);
  const PlanView& weights = context.view(step.weights);
  const PlanWindow& w = step.window;
  const PixelGrid from = pixel_grid(context.view(step.input), step.axis);
  const PixelGrid to = pixel_grid(to_view, step.axis);
  const auto* scale = context.constant<float>(step.scale);
  // A channel without scale has no bias in units of its sums.
  for (int64_t c = 0; c < weights.shape[0]; ++c)
    if (!(std::abs(scale[c]) > 1e-30F)) return nullptr;
  const int64_t bottom =
      behind(to.height, w.stride_height, w.kernel_height, w.dilation_height, from.height, w.pad_top);
  const int64_t right =
      behind(to.width, w.stride_width, w.kernel_width, w.dilation_width, from.width, w.pad_left);
  const bool padded = w.pad_top > 0 || w.pad_left > 0 || bottom > 0 || right > 0;
  const bool own_zero_point = padded && step.padding != 0;
  const bool is_float = to_view.dtype == DType::kFloat32;
  const Factors factors = factors_of(step, context, own_zero_point);
  const int64_t columns = weights.shape[0] / step.groups;
  const int64_t depth = weights.shape[2];
  memory::dims dims{columns, depth, w.kernel_height, w.kernel_width};
  memory::dims strides{w.kernel_height * w.kernel_width * depth, 1, w.kernel_width * depth, depth};
  if (step.groups > 1) {
    dims.insert(dims.begin(), step.groups);
    strides.insert(strides.begin(), columns * strides[0]);
  }
  const auto s8 = memory::data_type::s8;
  const memory::desc plain(dims, s8, strides);
  const memory::desc any(dims, s8, memory::format_tag::any);
  const memory::desc bias({weights.shape[0]}, memory::data_type::f32, memory::format_tag::x);
  try {
    // Pixels that overlap (widen_taps) have no description there.
    const memory::desc input = image_desc(from, DType::kUInt8);
    const memory::desc output = image_desc(to, to_view.dtype);
    const dnnl::convolution_forward::desc desc(
        dnnl::prop_kind::forward_inference, algorithm::convolution_direct, input, any, bias, output,
        {w.stride_height, w.stride_width}, {w.dilation_height - 1, w.dilation_width - 1},
        {w.pad_top, w.pad_left}, {bottom, right});
    const dnnl::convolution_forward::primitive_desc chosen(
        desc, attributes_of(step, factors, is_float, own_zero_point), onednn_engine());
    if (std::string_view(chosen.impl_info_str()).starts_with("ref")) return nullptr;
    auto product = std::make_unique<OnednnStep>(dnnl::convolution_forward(chosen), chosen);
    product->add(DNNL_ARG_SRC, input, context.address(step.input), context,
                 context.is_fixed(step.input));
    product->add(DNNL_ARG_WEIGHTS,
                 packed_weights(plain, step.weights, chosen.weights_desc(), context));
    memory terms(bias, onednn_engine());
    std::copy(factors.bias.begin(), factors.bias.end(),
              static_cast<float*>(terms.get_data_handle()));
    product->add(DNNL_ARG_BIAS, std::move(terms));
    product->add(DNNL_ARG_DST, output, context.address(step.output), context,
                 context.is_fixed(step.output));
    ByteFinish finish;
    if (!is_float) {
      finish.epilogue = step.epilogue;
      finish.output = context.address(step.output);
      finish.residual = context.address(step.epilogue.residual);
      if (step.epilogue.table.valid())
        finish.table = context.constant<uint8_t>(step.epilogue.table);
      finish.rows = to.images * to.height * to.width;
      finish.width = to.channels;
      finish.pitch = to.uniform_pitch();
      if (finish.residual.valid())
        finish.residual_pitch =
            pixel_grid(context.view(step.epilogue.residual), step.axis).uniform_pitch();
    }
    return std::make_unique<BoundOnednnProduct>(std::move(product), finish, context.threads);
  } catch (const dnnl::error&) {
    return nullptr;  // lathe's own product takes everything
  }
}

}  // namespace lathe
