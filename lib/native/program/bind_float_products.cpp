// Float convolutions and matrix products by oneDNN. Weights are packed once, in the layout that the
// chosen implementation asks for.
#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"
#include "program/blocked_matmul.h"
#include "program/bound_step.h"
#include "program/convolution_bands.h"
#include "program/onednn_blocks.h"
#include "program/onednn_step.h"
#include "program/openmp_threads.h"
#include "program/rounded_input_step.h"

namespace lathe {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using Function = FloatTail::Function;

struct Eltwise {
  algorithm kind;
  float alpha = 0;
  float beta = 0;
};

std::optional<Eltwise> eltwise_of(const FloatTail& tail) {
  switch (tail.function) {
    case Function::kNone: return std::nullopt;
    case Function::kRelu: return Eltwise{algorithm::eltwise_relu};
    case Function::kClip: return Eltwise{algorithm::eltwise_clip_v2, tail.alpha, tail.beta};
    case Function::kLeakyRelu: return Eltwise{algorithm::eltwise_relu, tail.alpha};
    case Function::kElu: return Eltwise{algorithm::eltwise_elu, tail.alpha};
    case Function::kSigmoid: return Eltwise{algorithm::eltwise_logistic};
    case Function::kTanh: return Eltwise{algorithm::eltwise_tanh};
    case Function::kSilu: return Eltwise{algorithm::eltwise_swish, tail.alpha};
    case Function::kHardSwish: return Eltwise{algorithm::eltwise_hardswish};
    case Function::kGelu: return Eltwise{algorithm::eltwise_gelu_erf};
    case Function::kGeluTanh: return Eltwise{algorithm::eltwise_gelu_tanh};
  }
  return std::nullopt;
}

dnnl::primitive_attr attributes_of(const FloatTail& tail, float alpha = 1) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (alpha != 1) attributes.set_output_scales(0, {alpha});
  dnnl::post_ops after;
  if (tail.sum.valid()) after.append_sum(1.0F);
  if (const auto eltwise = eltwise_of(tail))
    after.append_eltwise(1.0F, eltwise->kind, eltwise->alpha, eltwise->beta);
  attributes.set_post_ops(after);
  return attributes;
}

memory::dims dims_of_sizes(const std::vector<int64_t>& sizes, int64_t less = 0) {
  memory::dims dims(sizes.begin(), sizes.end());
  for (int64_t& dim : dims) dim -= less;
  return dims;
}

/// What oneDNN throws, as errors of ours.
template <class Make>
auto guarded(const char* what, const BindContext& context, const Make& make) {
  const OpenMpThreads threads(context.threads);
  try {
    return make();
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory)
      throw over_limit("native.memory", fmt::format("no memory for a {} of oneDNN", what));
    throw bad_environment("native.onednn",
                          fmt::format("oneDNN cannot compute a {}: {}", what, error.what()), {},
                          "--engine interpreter runs the model");
  }
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

/// What a product reads: as it is, or rounded to bfloat16 in any layout.
struct Factors {
  memory::data_type type = memory::data_type::f32;
  bool rounded() const { return type == memory::data_type::bf16; }
  memory::desc input(const memory::desc& array) const { return rounded() ? any(array) : array; }
  memory::desc any(const memory::desc& array) const {
    return {array.dims(), type, memory::format_tag::any};
  }
};
constexpr Factors kExact{};
constexpr Factors kRounded{memory::data_type::bf16};

/// Rounding pays where numbers are multiplied more than a few times.
bool rounds(const FloatConvStep& step, const BindContext& context) {
  constexpr int64_t kFewChannels = 8;
  return step.bfloat16 && !step.transposed && multiplies_bfloat16() &&
         (step.groups == 1 || context.view(step.weights).shape[1] >= kFewChannels);
}

/// What is multiplied is the weights that were rounded beforehand.
bool rounds(const FloatMatMulStep& step, const BindContext& context) {
  const BlockPlace place =
      context.plan.blocks[static_cast<size_t>(context.view(step.b).block)].place;
  return step.bfloat16 && place == BlockPlace::kConstant && multiplies_bfloat16();
}

/// The implementation that is wanted; any where nothing is said, the reference too.
PickImplementation wanted(const BindContext& context) {
  return [name = context.implementation](dnnl::primitive_desc& first) {
    return name.empty() || select_implementation(first, name);
  };
}

/// The same, but no reference: null is better then.
PickImplementation fast(const BindContext& context) {
  return [name = context.implementation](dnnl::primitive_desc& first) {
    return select_implementation(first, name);
  };
}

PickImplementation gather(std::vector<std::string>& names) {
  return [&names](dnnl::primitive_desc& first) {
    for (std::string& name : implementation_names(first))
      if (std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(std::move(name));
    return false;
  };
}

/// A float32 step has an implementation in any case: the first, where the one that is wanted is not
/// there. A rounded one may have none.
template <class Primitive, class Desc>
typename Primitive::primitive_desc choose(const Desc& desc, const dnnl::primitive_attr& attributes,
                                          const Factors& factors, const PickImplementation& pick) {
  using Chosen = typename Primitive::primitive_desc;
  constexpr bool kMayFail = true;
  Chosen chosen(desc, attributes, onednn_engine(), kMayFail);
  if (chosen && pick(chosen)) return chosen;
  return factors.rounded() ? Chosen() : Chosen(desc, attributes, onednn_engine());
}

/// Adds a product's input, which is rounded on its way where `chosen` wants that.
std::unique_ptr<BoundStep> with_input(std::unique_ptr<OnednnStep> step, const memory::desc& array,
                                      const memory::desc& wanted, ViewId input,
                                      const BindContext& context) {
  const ViewAddress address = context.address(input);
  const bool fixed = context.is_fixed(input);
  if (wanted.data_type() != memory::data_type::f32)
    return std::make_unique<RoundedInputStep>(std::move(step), DNNL_ARG_SRC, wanted, array, address,
                                              fixed, context);
  step->add(DNNL_ARG_SRC, array, address, context, fixed);
  return step;
}

template <class Primitive>
struct Convolution {
  memory::desc input, output, weights, bias;
  typename Primitive::primitive_desc chosen;
};

template <class Primitive>
Convolution<Primitive> describe(const FloatConvStep& step, const PlanView& from, const PlanView& to,
                                const BindContext& context, const Factors& factors,
                                const PickImplementation& pick) {
  Convolution<Primitive> made;
  made.input = onednn_image(from);
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
  const auto desc = step.bias.valid()
                        ? typename Primitive::desc(mode, kind, input, any, made.bias, made.output,
                                                   strides, dilations, begin, end)
                        : typename Primitive::desc(mode, kind, input, any, made.output, strides,
                                                   dilations, begin, end);
  made.chosen = choose<Primitive>(desc, attributes_of(step.tail), factors, pick);
  return made;
}

template <class Primitive>
std::unique_ptr<BoundStep> convolution(const FloatConvStep& step, const BindContext& context,
                                       const Convolution<Primitive>& made) {
  const auto& chosen = made.chosen;
  auto bound = std::make_unique<OnednnStep>(Primitive(chosen), chosen, context.threads);
  bound->add(DNNL_ARG_WEIGHTS,
             packed_weights(made.weights, step.weights, chosen.weights_desc(), context));
  if (step.bias.valid())
    bound->add(DNNL_ARG_BIAS, made.bias, context.address(step.bias), context, true);
  bound->add(DNNL_ARG_DST, made.output, context.address(step.output), context,
             context.is_fixed(step.output));
  return with_input(std::move(bound), made.input, chosen.src_desc(), step.input, context);
}

/// Of one sample. Transposed convolutions stay whole.
std::vector<ConvolutionBand> bands_of(const FloatConvStep& step, const BindContext& context) {
  const Shape& from = context.view(step.input).shape;
  const Shape& to = context.view(step.output).shape;
  const Shape& weights = context.view(step.weights).shape;
  const int64_t macs = element_count(to) / to[0] / weights[0] * element_count(weights);
  const int64_t most = step.transposed ? 1 : std::clamp<int64_t>(macs / kBlockMacs, 1, kMostBlocks);
  return convolution_bands({from[2], weights[2], step.strides[0], step.dilations[0],
                            step.pads_begin[0], step.pads_end[0]},
                           to[2], most);
}

template <class Primitive>
std::unique_ptr<BoundStep> convolution_in_blocks(const FloatConvStep& step,
                                                 const BindContext& context) {
  // Primitives run with as many threads as they were made with.
  const OpenMpThreads alone(1);
  const PlanView& from = context.view(step.input);
  const PlanView& to = context.view(step.output);
  BlockedWork work;
  work.macs =
      element_count(to.shape) / to.shape[1] * element_count(context.view(step.weights).shape);
  work.operands = {{DNNL_ARG_SRC, context.address(step.input)},
                   {DNNL_ARG_DST, context.address(step.output)}};
  const std::vector<ConvolutionBand> bands = bands_of(step, context);
  for (const ConvolutionBand& band : bands) {
    FloatConvStep part = step;
    part.pads_begin[0] = band.pad_begin;
    part.pads_end[0] = band.pad_end;
    PlanView part_from = from;
    PlanView part_to = to;
    part_from.shape[0] = part_to.shape[0] = 1;
    part_from.shape[2] = band.input_lines;
    part_to.shape[2] = band.output_lines;
    const auto made =
        describe<Primitive>(part, part_from, part_to, context, kExact, wanted(context));
    work.implementation = made.chosen.impl_info_str();
    BlockKernel kernel{
        Primitive(made.chosen), made.chosen.scratchpad_desc(), {made.input, made.output}, {}};
    kernel.constants.emplace_back(
        DNNL_ARG_WEIGHTS,
        packed_weights(made.weights, step.weights, made.chosen.weights_desc(), context));
    if (step.bias.valid())
      kernel.constants.emplace_back(
          DNNL_ARG_BIAS,
          memory(made.bias, onednn_engine(), context.address(step.bias).in(context.memory)));
    work.kernels.push_back(std::move(kernel));
  }
  constexpr int64_t kFloatBytes = sizeof(float);
  for (int64_t sample = 0; sample < to.shape[0]; ++sample)
    for (size_t i = 0; i < bands.size(); ++i)
      work.blocks.push_back(
          {i,
           {(sample * from.strides[0] + bands[i].input * from.strides[2]) * kFloatBytes,
            (sample * to.strides[0] + bands[i].output * to.strides[2]) * kFloatBytes}});
  return run_in_blocks(std::move(work), context.threads);
}

template <class Primitive>
std::unique_ptr<BoundStep> bind_convolution(const FloatConvStep& step, const BindContext& context) {
  const PlanView& from = context.view(step.input);
  const PlanView& to = context.view(step.output);
  if (rounds(step, context))
    if (const auto made = describe<Primitive>(step, from, to, context, kRounded, fast(context));
        made.chosen)
      return convolution(step, context, made);
  const auto made = describe<Primitive>(step, from, to, context, kExact, wanted(context));
  if (is_gemm(made.chosen.impl_info_str())) return convolution_in_blocks<Primitive>(step, context);
  return convolution(step, context, made);
}

struct MatrixProduct {
  memory::desc a, b, output, bias;
  bool constant = false;  // b is
  dnnl::matmul::primitive_desc chosen;
};

MatrixProduct describe(const FloatMatMulStep& step, const BindContext& context,
                       const Factors& factors, const PickImplementation& pick) {
  const PlanView& a_view = context.view(step.a);
  const PlanView& b_view = context.view(step.b);
  const PlanView& to = context.view(step.output);
  const size_t rank = std::max({a_view.shape.size(), b_view.shape.size(), to.shape.size()});
  MatrixProduct made;
  made.a = onednn_desc(a_view, rank);
  made.b = onednn_desc(b_view, rank);
  made.output = onednn_desc(to, rank);
  made.constant =
      context.plan.blocks[static_cast<size_t>(b_view.block)].place == BlockPlace::kConstant;
  const memory::desc input = factors.input(made.a);
  const memory::desc weights = made.constant ? factors.any(made.b) : made.b;
  if (step.bias.valid()) {
    memory::dims dims(rank, 1);
    dims.back() = to.shape.back();
    made.bias = memory::desc(dims, memory::data_type::f32, dnnl::memory::dims(rank, 1));
  }
  const auto desc = step.bias.valid() ? dnnl::matmul::desc(input, weights, made.bias, made.output)
                                      : dnnl::matmul::desc(input, weights, made.output);
  made.chosen = choose<dnnl::matmul>(desc, attributes_of(step.tail, step.alpha), factors, pick);
  return made;
}

std::unique_ptr<BoundStep> matrix_product(const FloatMatMulStep& step, const BindContext& context,
                                          const MatrixProduct& made) {
  const auto& chosen = made.chosen;
  auto bound = std::make_unique<OnednnStep>(dnnl::matmul(chosen), chosen, context.threads);
  if (made.constant)
    bound->add(DNNL_ARG_WEIGHTS, packed_weights(made.b, step.b, chosen.weights_desc(), context));
  else
    bound->add(DNNL_ARG_WEIGHTS, made.b, context.address(step.b), context,
               context.is_fixed(step.b));
  if (step.bias.valid())
    bound->add(DNNL_ARG_BIAS, made.bias, context.address(step.bias), context,
               context.is_fixed(step.bias));
  bound->add(DNNL_ARG_DST, made.output, context.address(step.output), context,
             context.is_fixed(step.output));
  return with_input(std::move(bound), made.a, chosen.src_desc(), step.a, context);
}

/// Waking a thread takes longer than the product.
bool is_small(const FloatMatMulStep& step, const BindContext& context) {
  constexpr int64_t kLeastMacs = 1 << 18;
  const Shape& a = context.view(step.a).shape;
  return !a.empty() && element_count(context.view(step.output).shape) * a.back() < kLeastMacs;
}

std::unique_ptr<BoundStep> bind_matrix_product(const FloatMatMulStep& step,
                                               const BindContext& context) {
  if (rounds(step, context))
    if (const MatrixProduct made = describe(step, context, kRounded, fast(context)); made.chosen)
      return matrix_product(step, context, made);
  const MatrixProduct made = describe(step, context, kExact, wanted(context));
  if (is_gemm(made.chosen.impl_info_str()))
    return bind_blocked_matmul(step, attributes_of(step.tail, step.alpha), context);
  return matrix_product(step, context, made);
}

}  // namespace

std::unique_ptr<BoundStep> bind_float_conv(const FloatConvStep& step, const BindContext& context) {
  return guarded("convolution", context, [&] {
    return step.transposed ? bind_convolution<dnnl::deconvolution_forward>(step, context)
                           : bind_convolution<dnnl::convolution_forward>(step, context);
  });
}

std::unique_ptr<BoundStep> bind_float_matmul(const FloatMatMulStep& step,
                                             const BindContext& context) {
  if (context.threads > 1 && is_small(step, context)) {
    BindContext alone = context;
    alone.threads = 1;
    return bind_float_matmul(step, alone);
  }
  return guarded("matrix product", context, [&] { return bind_matrix_product(step, context); });
}

std::vector<std::string> onednn_implementations(const FloatConvStep& step,
                                                const BindContext& context) {
  return guarded("convolution", context, [&] {
    std::vector<std::string> names;
    const PlanView& from = context.view(step.input);
    const PlanView& to = context.view(step.output);
    const PickImplementation pick = gather(names);
    if (rounds(step, context))
      describe<dnnl::convolution_forward>(step, from, to, context, kRounded, pick);
    if (step.transposed)
      describe<dnnl::deconvolution_forward>(step, from, to, context, kExact, pick);
    else
      describe<dnnl::convolution_forward>(step, from, to, context, kExact, pick);
    return names;
  });
}

std::vector<std::string> onednn_implementations(const FloatMatMulStep& step,
                                                const BindContext& context) {
  return guarded("matrix product", context, [&] {
    std::vector<std::string> names;
    if (rounds(step, context)) describe(step, context, kRounded, gather(names));
    describe(step, context, kExact, gather(names));
    return names;
  });
}

}  // namespace lathe
