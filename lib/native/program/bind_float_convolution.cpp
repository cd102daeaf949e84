// Float convolutions by oneDNN.
#include <algorithm>

#include "program/convolution_bands.h"
#include "program/float_products.h"
#include "program/onednn_blocks.h"
#include "program/rounded_input_step.h"

namespace lathe {
namespace {

using dnnl::algorithm;
using dnnl::memory;

/// Rounded beforehand.
constexpr FloatFactors kRoundedImage{memory::data_type::bf16};

memory::dims dims_of_sizes(const std::vector<int64_t>& sizes, int64_t less = 0) {
  memory::dims dims(sizes.begin(), sizes.end());
  for (int64_t& dim : dims) dim -= less;
  return dims;
}

/// ONNX's weights with the group apart, as oneDNN wants them.
memory::desc grouped_weights(const PlanView& weights, int64_t groups, bool transposed) {
  memory::dims dims(weights.shape.begin(), weights.shape.end());
  memory::dims strides(weights.strides.begin(), weights.strides.end());
  if (transposed) {
    // ONNX: in x out of a group x …; oneDNN: group x out x in x ….
    dims[0] /= groups;
    std::swap(dims[0], dims[1]);
    std::swap(strides[0], strides[1]);
    if (groups == 1) return {dims, memory::data_type::f32, strides};
    const int64_t group_stride = dims[1] * strides[1];
    dims.insert(dims.begin(), groups);
    strides.insert(strides.begin(), group_stride);
    return {dims, memory::data_type::f32, strides};
  }
  if (groups == 1) return {dims, memory::data_type::f32, strides};
  dims[0] /= groups;
  const int64_t group_stride = dims[0] * strides[0];
  dims.insert(dims.begin(), groups);
  strides.insert(strides.begin(), group_stride);
  return {dims, memory::data_type::f32, strides};
}

/// Rounding pays where numbers are multiplied more than a few times.
bool rounds(const FloatConvStep& step, const BindContext& context) {
  constexpr int64_t kFewChannels = 8;
  return step.bfloat16 && !step.transposed && multiplies_bfloat16() &&
         (step.groups == 1 || context.view(step.weights).shape[1] >= kFewChannels);
}

template <class Primitive>
struct Convolution {
  memory::desc input, output, weights, bias;
  typename Primitive::primitive_desc chosen;
};

template <class Primitive>
Convolution<Primitive> describe(const FloatConvStep& step, const PlanView& from, const PlanView& to,
                                const BindContext& context, const FloatFactors& factors,
                                const PickImplementation& pick) {
  Convolution<Primitive> made;
  made.input = onednn_image(from, factors.any_layout ? memory::data_type::f32 : factors.type);
  made.output = onednn_image(to);
  made.weights = grouped_weights(context.view(step.weights), step.groups, step.transposed);
  const memory::desc input = factors.input(made.input);
  const memory::desc any = factors.any(made.weights);
  made.bias = memory::desc({to.shape[1]}, memory::data_type::f32, memory::format_tag::x);
  const memory::dims strides = dims_of_sizes(step.strides);
  const memory::dims dilations = dims_of_sizes(step.dilations, 1);
  const memory::dims begin = dims_of_sizes(step.pads_begin);
  const memory::dims end = dims_of_sizes(step.pads_end);
  const auto mode = dnnl::prop_kind::forward_inference;
  const algorithm kind =
      step.transposed ? algorithm::deconvolution_direct : algorithm::convolution_direct;
  using Operation = OnednnOperation<Primitive>;
  const Operation operation =
      step.bias.valid()
          ? Operation(mode, kind, input, any, made.bias, made.output, strides, dilations, begin,
                      end)
          : Operation(mode, kind, input, any, made.output, strides, dilations, begin, end);
  made.chosen = choose_primitive(operation, attributes_of(step.tail), factors, pick);
  return made;
}

template <class Primitive>
std::unique_ptr<BoundStep> convolution(const FloatConvStep& step, const BindContext& context,
                                       const Convolution<Primitive>& made) {
  const auto& chosen = made.chosen;
  auto bound = std::make_unique<OnednnStep>(chosen, context.threads);
  bound->add(DNNL_ARG_WEIGHTS,
             packed_weights(made.weights, step.weights, chosen.weights_desc(), context));
  if (step.bias.valid())
    bound->add(DNNL_ARG_BIAS, made.bias, context.address(step.bias), context, true);
  bound->add(DNNL_ARG_DST, made.output, context.address(step.output), context,
             context.is_fixed(step.output));
  return with_input(std::move(bound), made.input, chosen.src_desc(), step.input, context);
}

/// The axis of which parts lie in one piece: the first that has several lines.
size_t band_axis(const Shape& from, const Shape& to) {
  size_t axis = 2;
  while (axis + 1 < to.size() && from[axis] == 1 && to[axis] == 1) ++axis;
  return axis;
}

int64_t macs_of(const FloatConvStep& step, const BindContext& context) {
  const Shape& window = context.view(step.transposed ? step.input : step.output).shape;
  const Shape& weights = context.view(step.weights).shape;
  return element_count(window) / weights[0] * element_count(weights);
}

/// Of one sample.
std::vector<ConvolutionBand> bands_of(const FloatConvStep& step, const BindContext& context,
                                      size_t axis, std::string_view implementation) {
  const Shape& from = context.view(step.input).shape;
  const Shape& to = context.view(step.output).shape;
  const int64_t macs = macs_of(step, context) / to[0];
  const int64_t most = is_gemm(implementation)
                           ? std::clamp<int64_t>(macs / kBlockMacs, 1, kMostBlocks)
                           : std::clamp<int64_t>(macs / kDirectBlockMacs, 1, kMostDirectBlocks);
  const size_t i = axis - 2;
  return convolution_bands({from[axis], context.view(step.weights).shape[axis], step.strides[i],
                            step.dilations[i], step.pads_begin[i], step.pads_end[i]},
                           to[axis], most, step.transposed);
}

/// `from`: the input, or what it is rounded to; `implementation`: of the whole. Null where a band
/// has none.
template <class Primitive>
std::unique_ptr<OnednnBlocks> convolution_in_blocks(const FloatConvStep& step, const PlanView& from,
                                                    const BindContext& context,
                                                    std::string_view implementation,
                                                    const FloatFactors& factors,
                                                    const PickImplementation& pick) {
  // Primitives run with as many threads as they were made with.
  const OpenMpThreads alone(1);
  const PlanView& to = context.view(step.output);
  const size_t axis = band_axis(from.shape, to.shape);
  BlockedWork work;
  work.macs = macs_of(step, context);
  work.operands = {{DNNL_ARG_SRC, context.address(step.input)},
                   {DNNL_ARG_DST, context.address(step.output)}};
  const std::vector<ConvolutionBand> bands = bands_of(step, context, axis, implementation);
  for (const ConvolutionBand& band : bands) {
    FloatConvStep part = step;
    part.pads_begin[axis - 2] = band.pad_begin;
    part.pads_end[axis - 2] = band.pad_end;
    PlanView part_from = from;
    PlanView part_to = to;
    part_from.shape[0] = part_to.shape[0] = 1;
    part_from.shape[axis] = band.input_lines;
    part_to.shape[axis] = band.output_lines;
    const auto made = describe<Primitive>(part, part_from, part_to, context, factors, pick);
    if (!made.chosen) return nullptr;
    work.implementation = made.chosen.impl_info_str();
    BlockKernel kernel{
        make_primitive(made.chosen), made.chosen.scratchpad_desc(), {made.input, made.output}, {}};
    kernel.constants.emplace_back(
        DNNL_ARG_WEIGHTS,
        packed_weights(made.weights, step.weights, made.chosen.weights_desc(), context));
    if (step.bias.valid())
      kernel.constants.emplace_back(
          DNNL_ARG_BIAS,
          memory(made.bias, onednn_engine(), context.address(step.bias).in(context.memory)));
    work.kernels.push_back(std::move(kernel));
  }
  const auto input_bytes = static_cast<int64_t>(memory::data_type_size(factors.type));
  constexpr int64_t kFloatBytes = sizeof(float);
  for (int64_t sample = 0; sample < to.shape[0]; ++sample)
    for (size_t i = 0; i < bands.size(); ++i)
      work.blocks.push_back(
          {i,
           {(sample * from.strides[0] + bands[i].input * from.strides[axis]) * input_bytes,
            (sample * to.strides[0] + bands[i].output * to.strides[axis]) * kFloatBytes}});
  return std::make_unique<OnednnBlocks>(std::move(work), context.threads);
}

/// Null: oneDNN has no fast implementation.
template <class Primitive>
std::unique_ptr<BoundStep> rounded_convolution(const FloatConvStep& step,
                                               const BindContext& context) {
  const PlanView& from = context.view(step.input);
  const PlanView& to = context.view(step.output);
  const auto made =
      describe<Primitive>(step, from, to, context, kRoundedFactors, fast_implementation(context));
  if (!made.chosen) return nullptr;
  const std::string name = made.chosen.impl_info_str();
  if (!sums_by_threads(name)) return convolution(step, context, made);
  const PlanView image = dense_image(from);
  auto blocks = convolution_in_blocks<Primitive>(step, image, context, name, kRoundedImage,
                                                 fast_implementation(context));
  if (blocks == nullptr) return nullptr;
  const auto give = [product = blocks.get()](const memory& rounded) {
    product->set_operand(0, static_cast<std::byte*>(rounded.get_data_handle()));
  };
  return std::make_unique<RoundedInputStep>(
      std::move(blocks), give, onednn_image(image, kRoundedImage.type), onednn_image(from),
      context.address(step.input), context.is_fixed(step.input), context);
}

template <class Primitive>
std::unique_ptr<BoundStep> bind_convolution(const FloatConvStep& step, const BindContext& context) {
  const PlanView& from = context.view(step.input);
  const PlanView& to = context.view(step.output);
  if (rounds(step, context))
    if (auto rounded = rounded_convolution<Primitive>(step, context)) return rounded;
  const auto made =
      describe<Primitive>(step, from, to, context, kExactFactors, wanted_implementation(context));
  const std::string name = made.chosen.impl_info_str();
  if (sums_by_threads(name))
    return convolution_in_blocks<Primitive>(step, from, context, name, kExactFactors,
                                            wanted_implementation(context));
  return convolution(step, context, made);
}

}  // namespace

std::unique_ptr<BoundStep> bind_float_conv(const FloatConvStep& step, const BindContext& context) {
  return with_onednn_errors("convolution", context, [&] {
    return step.transposed ? bind_convolution<dnnl::deconvolution_forward>(step, context)
                           : bind_convolution<dnnl::convolution_forward>(step, context);
  });
}

std::vector<std::string> onednn_implementations(const FloatConvStep& step,
                                                const BindContext& context) {
  return with_onednn_errors("convolution", context, [&] {
    std::vector<std::string> names;
    const PlanView& from = context.view(step.input);
    const PlanView& to = context.view(step.output);
    const PickImplementation pick = gather_implementations(names);
    if (rounds(step, context))
      describe<dnnl::convolution_forward>(step, from, to, context, kRoundedFactors, pick);
    if (step.transposed)
      describe<dnnl::deconvolution_forward>(step, from, to, context, kExactFactors, pick);
    else
      describe<dnnl::convolution_forward>(step, from, to, context, kExactFactors, pick);
    return names;
  });
}

}  // namespace lathe
