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
auto guarded(const char* what, const BindContext& context, const Make& make) {
  const OnednnThreads threads(context.threads);
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

/// The implementation that is wanted; any where nothing is said, the reference too.
PickImplementation wanted(const BindContext& context) {
  return [name = context.implementation](dnnl::primitive_desc& first) {
    return name.empty() || select_implementation(first, name);
  };
}

PickImplementation gather(std::vector<std::string>& names) {
  return [&names](dnnl::primitive_desc& first) {
    names = implementation_names(first);
    return false;
  };
}

/// A float step has an implementation in any case: the first, where the one that is wanted is not
/// there.
template <class Primitive, class Desc>
typename Primitive::primitive_desc choose(const Desc& desc, const dnnl::primitive_attr& attributes,
                                          const PickImplementation& pick) {
  typename Primitive::primitive_desc chosen(desc, attributes, onednn_engine());
  if (pick(chosen)) return chosen;
  return {desc, attributes, onednn_engine()};
}

template <class Primitive>
struct Convolution {
  memory::desc input, output, weights, bias;
  typename Primitive::primitive_desc chosen;
};

template <class Primitive>
Convolution<Primitive> describe(const FloatConvStep& step, const BindContext& context,
                                const PickImplementation& pick) {
  Convolution<Primitive> made;
  made.input = onednn_image(context.view(step.input));
  made.output = onednn_image(context.view(step.output));
  made.weights = grouped_weights(context.view(step.weights), step.groups, step.transposed);
  const memory::desc any(made.weights.dims(), memory::data_type::f32, memory::format_tag::any);
  const int64_t channels = context.view(step.output).shape[1];
  made.bias = memory::desc({channels}, memory::data_type::f32, memory::format_tag::x);
  const memory::dims strides = dims_of_sizes(step.strides);
  const memory::dims dilations = dims_of_sizes(step.dilations, 1);
  const memory::dims begin = dims_of_sizes(step.pads_begin);
  const memory::dims end = dims_of_sizes(step.pads_end);
  const auto mode = dnnl::prop_kind::forward_inference;
  const algorithm kind =
      step.transposed ? algorithm::deconvolution_direct : algorithm::convolution_direct;
  const auto desc = step.bias.valid()
                        ? typename Primitive::desc(mode, kind, made.input, any, made.bias,
                                                   made.output, strides, dilations, begin, end)
                        : typename Primitive::desc(mode, kind, made.input, any, made.output,
                                                   strides, dilations, begin, end);
  made.chosen = choose<Primitive>(desc, attributes_of(step.tail), pick);
  return made;
}

template <class Primitive>
std::unique_ptr<BoundStep> convolution(const FloatConvStep& step, const BindContext& context) {
  const auto made = describe<Primitive>(step, context, wanted(context));
  const auto& chosen = made.chosen;
  auto bound = std::make_unique<OnednnStep>(Primitive(chosen), chosen, context.threads);
  bound->add(DNNL_ARG_SRC, made.input, context.address(step.input), context,
             context.is_fixed(step.input));
  bound->add(DNNL_ARG_WEIGHTS,
             packed_weights(made.weights, step.weights, chosen.weights_desc(), context));
  if (step.bias.valid())
    bound->add(DNNL_ARG_BIAS, made.bias, context.address(step.bias), context, true);
  bound->add(DNNL_ARG_DST, made.output, context.address(step.output), context,
             context.is_fixed(step.output));
  return bound;
}

struct MatrixProduct {
  memory::desc a, b, output, bias;
  bool constant = false;  // b is
  dnnl::matmul::primitive_desc chosen;
};

MatrixProduct describe(const FloatMatMulStep& step, const BindContext& context,
                       const PickImplementation& pick) {
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
  const memory::desc weights =
      made.constant ? memory::desc(made.b.dims(), memory::data_type::f32, memory::format_tag::any)
                    : made.b;
  if (step.bias.valid()) {
    memory::dims dims(rank, 1);
    dims.back() = to.shape.back();
    made.bias = memory::desc(dims, memory::data_type::f32, dnnl::memory::dims(rank, 1));
  }
  const auto desc = step.bias.valid() ? dnnl::matmul::desc(made.a, weights, made.bias, made.output)
                                      : dnnl::matmul::desc(made.a, weights, made.output);
  made.chosen = choose<dnnl::matmul>(desc, attributes_of(step.tail, step.alpha), pick);
  return made;
}

std::unique_ptr<BoundStep> matrix_product(const FloatMatMulStep& step, const BindContext& context) {
  const MatrixProduct made = describe(step, context, wanted(context));
  const auto& chosen = made.chosen;
  auto bound = std::make_unique<OnednnStep>(dnnl::matmul(chosen), chosen, context.threads);
  bound->add(DNNL_ARG_SRC, made.a, context.address(step.a), context, context.is_fixed(step.a));
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
  return bound;
}

}  // namespace

std::unique_ptr<BoundStep> bind_float_conv(const FloatConvStep& step, const BindContext& context) {
  return guarded("convolution", context, [&] {
    return step.transposed ? convolution<dnnl::deconvolution_forward>(step, context)
                           : convolution<dnnl::convolution_forward>(step, context);
  });
}

std::unique_ptr<BoundStep> bind_float_matmul(const FloatMatMulStep& step,
                                             const BindContext& context) {
  return guarded("matrix product", context, [&] { return matrix_product(step, context); });
}

std::vector<std::string> onednn_implementations(const FloatConvStep& step,
                                                const BindContext& context) {
  return guarded("convolution", context, [&] {
    std::vector<std::string> names;
    if (step.transposed)
      describe<dnnl::deconvolution_forward>(step, context, gather(names));
    else
      describe<dnnl::convolution_forward>(step, context, gather(names));
    return names;
  });
}

std::vector<std::string> onednn_implementations(const FloatMatMulStep& step,
                                                const BindContext& context) {
  return guarded("matrix product", context, [&] {
    std::vector<std::string> names;
    describe(step, context, gather(names));
    return names;
  });
}

}  // namespace lathe
