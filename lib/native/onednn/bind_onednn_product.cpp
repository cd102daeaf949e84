// Integer products by oneDNN: it has kernels for AMX, which lathe's own products do not use. What
// oneDNN cannot do in one pass (rounding twice, tables) is done behind it, row by row.
#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "kernels/byte_binary.h"
#include "kernels/lookup.h"
#include "program/bound_step.h"
#include "onednn/onednn_api.h"
#include "onednn/onednn_step.h"
#include "program/openmp_threads.h"
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
      if (other != nullptr) run_byte_binary(sum, line, other + row * residual_pitch, line, width);
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

/// columns x taps x depth of a group.
struct Weights {
  int64_t columns = 0;
  int64_t taps = 1;
  int64_t depth = 1;
};

struct ChannelFactors {
  OnednnScales scales;
  std::vector<float> bias;
};

/// oneDNN's sums leave out the input's zero point where it is told of it; the plan's terms have
/// that in them.
ChannelFactors factors_of(const ProductStep& step, const Weights& weights,
                          const BindContext& context, bool own_zero_point) {
  const int64_t row = weights.taps * weights.depth;
  const auto* w = context.constant<int8_t>(step.weights);
  const auto* scale = context.constant<float>(step.scale);
  const auto* term = context.constant<float>(step.bias);
  ChannelFactors factors;
  factors.scales.of_columns.assign(scale, scale + weights.columns);
  factors.scales.grouped = step.groups > 1;
  if (own_zero_point) factors.scales.zero_point = step.padding;
  for (int64_t c = 0; c < weights.columns; ++c) {
    int64_t left_out = 0;
    for (int64_t k = 0; k < row; ++k) left_out += w[c * row + k];
    left_out *= factors.scales.zero_point;
    const double bias = kOnednnScalesBias
                            ? double{term[c]} / scale[c] + static_cast<double>(left_out)
                            : double{term[c]} + double{scale[c]} * static_cast<double>(left_out);
    factors.bias.push_back(static_cast<float>(bias));
  }
  return factors;
}

dnnl::primitive_attr attributes_of(const ProductStep& step, const OnednnScales& scales,
                                   bool is_float) {
  const PlanEpilogue& epilogue = step.epilogue;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  set_scales(attributes, scales);
  dnnl::post_ops after;
  if (const auto function = function_of(epilogue.activation)) {
    append_eltwise(after, *function, 1.0F, 0.0F);
    if (!is_float)
      append_eltwise(after, algorithm::eltwise_linear, epilogue.inverse_scale, epilogue.zero_point);
  }
  if (is_float && (epilogue.float_low > -3e38F || epilogue.float_high < 3e38F))
    append_eltwise(after, algorithm::eltwise_clip, epilogue.float_low, epilogue.float_high);
  attributes.set_post_ops(after);
  return attributes;
}

/// A product in oneDNN's words.
struct Description {
  memory::desc input, output, weights, bias;
  ChannelFactors factors;
  dnnl::convolution_forward::primitive_desc chosen;
};

/// nullopt: oneDNN has no words for it, or `pick` wants none.
std::optional<Description> describe(const ProductStep& step, const Weights& weights,
                                    const BindContext& context, const PickImplementation& pick) {
  const PlanView& to_view = context.view(step.output);
  const PlanWindow& w = step.window;
  const PixelGrid from = pixel_grid(context.view(step.input), step.axis);
  const PixelGrid to = pixel_grid(to_view, step.axis);
  const auto* scale = context.constant<float>(step.scale);
  // A channel without scale has no bias in units of its sums.
  for (int64_t c = 0; c < weights.columns; ++c)
    if (!(std::abs(scale[c]) > 1e-30F)) return std::nullopt;
  const int64_t bottom = behind(to.height, w.stride_height, w.kernel_height, w.dilation_height,
                                from.height, w.pad_top);
  const int64_t right =
      behind(to.width, w.stride_width, w.kernel_width, w.dilation_width, from.width, w.pad_left);
  const bool padded = w.pad_top > 0 || w.pad_left > 0 || bottom > 0 || right > 0;
  const bool own_zero_point = padded && step.padding != 0;
  const bool is_float = to_view.dtype == DType::kFloat32;
  const int64_t columns = weights.columns / step.groups;
  const int64_t depth = weights.depth;
  memory::dims dims{columns, depth, w.kernel_height, w.kernel_width};
  memory::dims strides{w.kernel_height * w.kernel_width * depth, 1, w.kernel_width * depth, depth};
  if (step.groups > 1) {
    dims.insert(dims.begin(), step.groups);
    strides.insert(strides.begin(), columns * strides[0]);
  }
  const auto s8 = memory::data_type::s8;
  try {
    Description made;
    made.factors = factors_of(step, weights, context, own_zero_point);
    made.weights = memory::desc(dims, s8, strides);
    made.bias = memory::desc({weights.columns}, memory::data_type::f32, memory::format_tag::x);
    // Pixels that overlap (widen_taps) have no description there.
    made.input = image_desc(from, DType::kUInt8);
    made.output = image_desc(to, to_view.dtype);
    const memory::desc any(dims, s8, memory::format_tag::any);
    const OnednnOperation<dnnl::convolution_forward> operation(
        dnnl::prop_kind::forward_inference, algorithm::convolution_direct, made.input, any,
        made.bias, made.output, memory::dims{w.stride_height, w.stride_width},
        memory::dims{w.dilation_height - 1, w.dilation_width - 1},
        memory::dims{w.pad_top, w.pad_left}, memory::dims{bottom, right});
    made.chosen =
        operation.first(onednn_engine(), attributes_of(step, made.factors.scales, is_float));
    if (!pick(made.chosen)) return std::nullopt;
    return made;
  } catch (const dnnl::error&) {
    return std::nullopt;
  }
}

ByteFinish finish_of(const ProductStep& step, const BindContext& context) {
  ByteFinish finish;
  const PlanView& to_view = context.view(step.output);
  if (to_view.dtype == DType::kFloat32) return finish;
  const PixelGrid to = pixel_grid(to_view, step.axis);
  finish.epilogue = step.epilogue;
  finish.output = context.address(step.output);
  finish.residual = context.address(step.epilogue.residual);
  if (step.epilogue.table.valid()) finish.table = context.constant<uint8_t>(step.epilogue.table);
  finish.rows = to.images * to.height * to.width;
  finish.width = to.channels;
  finish.pitch = to.uniform_pitch();
  if (finish.residual.valid())
    finish.residual_pitch =
        pixel_grid(context.view(step.epilogue.residual), step.axis).uniform_pitch();
  return finish;
}

/// Others add pairs of products in saturating 16 bits.
bool sums_exactly(std::string_view name) {
  return name.find("vnni") != name.npos || name.find("amx") != name.npos;
}

std::unique_ptr<BoundStep> bind(const ProductStep& step, const Weights& weights,
                                const BindContext& context) {
  const OpenMpThreads threads(context.threads);
  const auto made = describe(step, weights, context, [&](dnnl::primitive_desc& first) {
    return select_implementation(first, context.implementation) &&
           sums_exactly(first.impl_info_str());
  });
  if (!made) return nullptr;
  const auto& chosen = made->chosen;
  try {
    auto product = std::make_unique<OnednnStep>(chosen, context.threads);
    product->add(DNNL_ARG_SRC, made->input, context.address(step.input), context,
                 context.is_fixed(step.input));
    product->add(DNNL_ARG_WEIGHTS,
                 packed_weights(made->weights, step.weights, chosen.weights_desc(), context));
    memory terms(made->bias, onednn_engine());
    std::copy(made->factors.bias.begin(), made->factors.bias.end(),
              static_cast<float*>(terms.get_data_handle()));
    product->add(DNNL_ARG_BIAS, std::move(terms));
    for (auto& [argument, memory] : scale_arguments(made->factors.scales, onednn_engine()))
      product->add(argument, std::move(memory));
    product->add(DNNL_ARG_DST, made->output, context.address(step.output), context,
                 context.is_fixed(step.output));
    return std::make_unique<BoundOnednnProduct>(std::move(product), finish_of(step, context),
                                                context.threads);
  } catch (const dnnl::error&) {
    return nullptr;
  }
}

Weights weights_of(const ProductStep& step, const BindContext& context) {
  const Shape& shape = context.view(step.weights).shape;
  return {shape[0], shape[1], shape[2]};
}

/// One column and one input channel a group.
ProductStep product_of(const DepthwiseStep& step, const BindContext& context) {
  return {step.input,   step.output,          step.weights, step.scale,
          step.bias,    ChannelAxis::kSecond, step.window,  context.view(step.input).shape[1],
          step.padding, step.epilogue};
}

Weights weights_of(const DepthwiseStep& step, const BindContext& context) {
  return {context.view(step.input).shape[1], step.window.kernel_height * step.window.kernel_width,
          1};
}

std::vector<std::string> names(const ProductStep& step, const Weights& weights,
                               const BindContext& context) {
  const OpenMpThreads threads(context.threads);
  std::vector<std::string> found;
  describe(step, weights, context, [&](dnnl::primitive_desc& first) {
    found = implementation_names(first);
    return false;
  });
  std::erase_if(found, [](const std::string& name) { return !sums_exactly(name); });
  return found;
}

}  // namespace

std::unique_ptr<BoundStep> bind_onednn_product(const ProductStep& step,
                                               const BindContext& context) {
  return bind(step, weights_of(step, context), context);
}

std::unique_ptr<BoundStep> bind_onednn_depthwise(const DepthwiseStep& step,
                                                 const BindContext& context) {
  return bind(product_of(step, context), weights_of(step, context), context);
}

std::vector<std::string> onednn_implementations(const ProductStep& step,
                                                const BindContext& context) {
  return names(step, weights_of(step, context), context);
}

std::vector<std::string> onednn_implementations(const DepthwiseStep& step,
                                                const BindContext& context) {
  return names(product_of(step, context), weights_of(step, context), context);
}

}  // namespace lathe
