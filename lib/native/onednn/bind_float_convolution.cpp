// Float convolutions by oneDNN.
#include <algorithm>
#include <array>
#include <iterator>
#include <map>

#include "onednn/convolution_bands.h"
#include "onednn/float_products.h"
#include "onednn/onednn_blocks.h"
#include "program/own_float_products.h"
#include "onednn/rounded_input_step.h"

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

/// The weights of so many channels of the output: all, or the first of a step without groups.
PlanView weights_of(const FloatConvStep& step, int64_t channels, const BindContext& context) {
  PlanView weights = context.view(step.weights);
  if (!step.transposed && step.groups == 1) weights.shape[0] = channels;
  return weights;
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
  made.weights =
      grouped_weights(weights_of(step, to.shape[1], context), step.groups, step.transposed);
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

/// How the output of a sample is cut: along an axis and, where that has few lines, in channels,
/// too.
struct BlockSize {
  size_t axis = 2;
  int64_t most_bands = 1;
  int64_t channels = 1;
};

BlockSize block_size(const FloatConvStep& step, const BindContext& context,
                     std::string_view implementation) {
  const Shape& to = context.view(step.output).shape;
  const size_t axis = band_axis(context.view(step.input).shape, to);
  const int64_t macs = macs_of(step, context) / to[0];
  if (is_gemm(implementation))
    return {axis, std::clamp<int64_t>(macs / kBlockMacs, 1, kMostBlocks), to[1]};
  const int64_t most = std::clamp<int64_t>(macs / kDirectBlockMacs, 1, kMostDirectBlocks);
  // Such layers have large weights, which each band reads anew.
  constexpr int64_t kChannels = 64;
  constexpr int64_t kBlockPixels = 96;
  const bool has_few_lines = to[axis] < kMostBlocks && to[axis] < most;
  if (!has_few_lines || step.transposed || step.groups > 1 || to[1] % kChannels != 0)
    return {axis, most, to[1]};
  const int64_t pixels = element_count(to) / to[0] / to[1];
  return {axis, std::clamp<int64_t>(pixels / kBlockPixels, 1, most), kChannels};
}

/// The layout of all weights in which the `part` of some channels lies in one piece; zero where
/// there is none.
memory::desc layout_around(const memory::desc& part, const memory::desc& all) {
  using tag = memory::format_tag;
  const memory::dims dims = dims_of(part);
  if (dims == dims_of(all)) return part;
  for (const tag layout : {tag::Acdb16a, tag::Acdb32a, tag::Acdb48a, tag::Acdb64a}) {
    if (dims.size() != 4 || memory::desc(dims, data_type_of(part), layout) != part) continue;
    const memory::desc whole(dims_of(all), data_type_of(part), layout);
    const auto parts = static_cast<size_t>(dims_of(all)[0] / dims[0]);
    if (whole.get_size() == part.get_size() * parts) return whole;
  }
  return {};
}

/// The part of a step that a band of one sample is, with as many channels of the output.
struct ConvolutionPart {
  FloatConvStep step;
  PlanView from, to;
};

ConvolutionPart part_of(const FloatConvStep& step, const PlanView& from, const PlanView& to,
                        const ConvolutionBand& band, const BlockSize& size) {
  ConvolutionPart part{step, from, to};
  part.step.pads_begin[size.axis - 2] = band.pad_begin;
  part.step.pads_end[size.axis - 2] = band.pad_end;
  part.from.shape[0] = part.to.shape[0] = 1;
  part.from.shape[size.axis] = band.input_lines;
  part.to.shape[size.axis] = band.output_lines;
  part.to.shape[1] = size.channels;
  if (size.channels < to.shape[1]) part.to = dense_image(part.to);
  return part;
}

std::vector<ConvolutionBand> bands_of(const FloatConvStep& step, const BindContext& context,
                                      const BlockSize& size) {
  const size_t i = size.axis - 2;
  return convolution_bands(
      {context.view(step.input).shape[size.axis], context.view(step.weights).shape[size.axis],
       step.strides[i], step.dilations[i], step.pads_begin[i], step.pads_end[i]},
      context.view(step.output).shape[size.axis], size.most_bands, step.transposed);
}

/// The kernels of a part for each of the groups of channels of the output; none where oneDNN has
/// no implementation, or not such a layout of weights.
template <class Primitive>
std::vector<BlockKernel> kernels_of(const ConvolutionPart& part, int64_t groups,
                                    const BindContext& context, const FloatFactors& factors,
                                    const PickImplementation& pick, std::string& implementation) {
  const auto made = describe<Primitive>(part.step, part.from, part.to, context, factors, pick);
  if (!made.chosen) return {};
  const FloatConvStep& step = part.step;
  const memory::desc all =
      grouped_weights(context.view(step.weights), step.groups, step.transposed);
  const memory::desc layout = layout_around(made.chosen.weights_desc(), all);
  if (layout.is_zero()) return {};
  const memory weights = packed_weights(all, step.weights, layout, context);
  const size_t weight_bytes = layout.get_size() / static_cast<size_t>(groups);
  const dnnl::primitive primitive = make_primitive(made.chosen);
  implementation = made.chosen.impl_info_str();
  std::vector<BlockKernel> kernels;
  for (int64_t group = 0; group < groups; ++group) {
    const auto i = static_cast<size_t>(group);
    BlockKernel kernel{primitive, made.chosen.scratchpad_desc(), {made.input, made.output}, {}};
    kernel.constants.emplace_back(
        DNNL_ARG_WEIGHTS,
        memory(made.chosen.weights_desc(), onednn_engine(),
               static_cast<std::byte*>(weights.get_data_handle()) + i * weight_bytes));
    if (step.bias.valid())
      kernel.constants.emplace_back(
          DNNL_ARG_BIAS,
          memory(made.bias, onednn_engine(),
                 context.address(step.bias).in(context.memory) + i * made.bias.get_size()));
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

/// `from`: the input, or what it is rounded to. Null where a block has no kernel.
template <class Primitive>
std::unique_ptr<OnednnBlocks> convolution_in_blocks(const FloatConvStep& step, const PlanView& from,
                                                    const BindContext& context,
                                                    const BlockSize& size,
                                                    const FloatFactors& factors,
                                                    const PickImplementation& pick) {
  // Primitives run with as many threads as they were made with.
  const OpenMpThreads alone(1);
  const PlanView& to = context.view(step.output);
  const int64_t groups = to.shape[1] / size.channels;
  const std::vector<ConvolutionBand> bands = bands_of(step, context, size);
  BlockedWork work;
  work.macs = macs_of(step, context);
  work.operands = {{DNNL_ARG_SRC, context.address(step.input)},
                   {DNNL_ARG_DST, context.address(step.output)}};
  std::map<std::array<int64_t, 4>, size_t> known;  // bands of one shape share their kernels
  std::vector<size_t> first_kernel;
  for (const ConvolutionBand& band : bands) {
    const auto [first, is_new] = known.try_emplace(
        {band.input_lines, band.output_lines, band.pad_begin, band.pad_end}, work.kernels.size());
    first_kernel.push_back(first->second);
    if (!is_new) continue;
    auto kernels = kernels_of<Primitive>(part_of(step, from, to, band, size), groups, context,
                                         factors, pick, work.implementation);
    if (kernels.empty()) return nullptr;
    std::move(kernels.begin(), kernels.end(), std::back_inserter(work.kernels));
  }
  const auto input_bytes = static_cast<int64_t>(memory::data_type_size(factors.type));
  constexpr int64_t kFloatBytes = sizeof(float);
  const int64_t line_pixels =
      element_count(to.shape) / to.shape[0] / to.shape[1] / to.shape[size.axis];
  for (int64_t group = 0; group < groups; ++group)
    for (int64_t sample = 0; sample < to.shape[0]; ++sample)
      for (size_t i = 0; i < bands.size(); ++i)
        work.blocks.push_back(
            {first_kernel[i] + static_cast<size_t>(group),
             {(sample * from.strides[0] + bands[i].input * from.strides[size.axis]) * input_bytes,
              (sample * to.strides[0] + bands[i].output * to.strides[size.axis] +
               group * size.channels) *
                  kFloatBytes},
             bands[i].output_lines * line_pixels});
  if (groups > 1)
    work.columns = {1, static_cast<size_t>(size.channels * kFloatBytes),
                    to.strides.back() * kFloatBytes, step.tail.sum.valid()};
  return std::make_unique<OnednnBlocks>(std::move(work), context.threads);
}

/// The blocks of a convolution of which oneDNN's whole is this `implementation`.
template <class Primitive>
std::unique_ptr<OnednnBlocks> divided_convolution(const FloatConvStep& step, const PlanView& from,
                                                  const BindContext& context,
                                                  std::string_view implementation,
                                                  const FloatFactors& factors,
                                                  const PickImplementation& pick) {
  const int64_t channels = context.view(step.output).shape[1];
  BlockSize size = block_size(step, context, implementation);
  auto blocks = convolution_in_blocks<Primitive>(step, from, context, size, factors, pick);
  if (blocks != nullptr || size.channels == channels) return blocks;
  size = {size.axis, kMostBlocks, channels};
  return convolution_in_blocks<Primitive>(step, from, context, size, factors, pick);
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
  auto blocks = divided_convolution<Primitive>(step, image, context, name, kRoundedImage,
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
    return divided_convolution<Primitive>(step, from, context, name, kExactFactors,
                                          wanted_implementation(context));
  return convolution(step, context, made);
}

}  // namespace

std::unique_ptr<BoundStep> bind_float_conv(const FloatConvStep& step, const BindContext& context) {
  if (context.implementation == kOwnFloatProduct) return bind_own_float_conv(step, context);
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
