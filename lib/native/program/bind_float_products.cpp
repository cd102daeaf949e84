// Float convolutions and matrix products by oneDNN. Weights are packed once, in the layout that the
// chosen implementation asks for.
#include <fmt/format.h>

#include "ir/error.h"
#include "program/bound_step.h"
#include "program/onednn_step.h"

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
std::unique_ptr<BoundStep> guarded(const char* what, const Make& make) {
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

template <class Primitive>
std::unique_ptr<BoundStep> convolution(const FloatConvStep& step, const BindContext& context,
                                       algorithm kind) {
  const memory::desc input = onednn_image(context.view(step.input));
  const memory::desc output = onednn_image(context.view(step.output));
  const memory::desc plain =
      grouped_weights(context.view(step.weights), step.groups, step.transposed);
  const memory::desc any(plain.dims(), memory::data_type::f32, memory::format_tag::any);
  const int64_t channels = context.view(step.output).shape[1];
  const memory::desc bias({channels}, memory::data_type::f32, memory::format_tag::x);
  const memory::dims strides = dims_of_sizes(step.strides);
  const memory::dims dilations = dims_of_sizes(step.dilations, 1);
  const memory::dims begin = dims_of_sizes(step.pads_begin);
  const memory::dims end = dims_of_sizes(step.pads_end);
  const auto mode = dnnl::prop_kind::forward_inference;
  const auto desc = step.bias.valid()
                        ? typename Primitive::desc(mode, kind, input, any, bias, output, strides,
                                                   dilations, begin, end)
                        : typename Primitive::desc(mode, kind, input, any, output, strides,
                                                   dilations, begin, end);
  const typename Primitive::primitive_desc chosen(desc, attributes_of(step.tail), onednn_engine());
  auto bound = std::make_unique<OnednnStep>(Primitive(chosen), chosen);
  bound->add(DNNL_ARG_SRC, input, context.address(step.input), context,
             context.is_fixed(step.input));
  bound->add(DNNL_ARG_WEIGHTS,
             packed_weights(plain, step.weights, chosen.weights_desc(), context));
  if (step.bias.valid())
    bound->add(DNNL_ARG_BIAS, bias, context.address(step.bias), context, true);
  bound->add(DNNL_ARG_DST, output, context.address(step.output), context,
             context.is_fixed(step.output));
  return bound;
}

}  // namespace

std::unique_ptr<BoundStep> bind_float_conv(const FloatConvStep& step, const BindContext& context) {
  return guarded("convolution", [&] {
    return step.transposed ? convolution<dnnl::deconvolution_forward>(
                                 step, context, algorithm::deconvolution_direct)
                           : convolution<dnnl::convolution_forward>(
                                 step, context, algorithm::convolution_direct);
  });
}

std::unique_ptr<BoundStep> bind_float_matmul(const FloatMatMulStep& step,
                                             const BindContext& context) {
  return guarded("matrix product", [&]() -> std::unique_ptr<BoundStep> {
    const PlanView& a_view = context.view(step.a);
    const PlanView& b_view = context.view(step.b);
    const PlanView& to = context.view(step.output);
    const size_t rank = std::max({a_view.shape.size(), b_view.shape.size(), to.shape.size()});
    const memory::desc a = onednn_desc(a_view, rank);
    const memory::desc b = onednn_desc(b_view, rank);
    const memory::desc output = onednn_desc(to, rank);
    const bool constant =
        context.plan.blocks[static_cast<size_t>(b_view.block)].place == BlockPlace::kConstant;
    const memory::desc weights =
        constant ? memory::desc(b.dims(), memory::data_type::f32, memory::format_tag::any) : b;
    memory::desc bias;
    if (step.bias.valid()) {
      memory::dims dims(rank, 1);
      dims.back() = to.shape.back();
      bias = memory::desc(dims, memory::data_type::f32,
                          dnnl::memory::dims(rank, 1));
    }
    const auto desc = step.bias.valid() ? dnnl::matmul::desc(a, weights, bias, output)
                                        : dnnl::matmul::desc(a, weights, output);
    const dnnl::matmul::primitive_desc chosen(desc, attributes_of(step.tail, step.alpha),
                                              onednn_engine());
    auto bound = std::make_unique<OnednnStep>(dnnl::matmul(chosen), chosen);
    bound->add(DNNL_ARG_SRC, a, context.address(step.a), context, context.is_fixed(step.a));
    if (constant)
      bound->add(DNNL_ARG_WEIGHTS,
                 packed_weights(b, step.b, chosen.weights_desc(), context));
    else
      bound->add(DNNL_ARG_WEIGHTS, b, context.address(step.b), context, context.is_fixed(step.b));
    if (step.bias.valid())
      bound->add(DNNL_ARG_BIAS, bias, context.address(step.bias), context,
                 context.is_fixed(step.bias));
    bound->add(DNNL_ARG_DST, output, context.address(step.output), context,
               context.is_fixed(step.output));
    return bound;
  });
}

}  // namespace lathe
