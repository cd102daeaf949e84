#include "onednn/float_products.h"

#include <algorithm>

#include "onednn/rounded_input_step.h"

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

}  // namespace

dnnl::primitive_attr attributes_of(const FloatTail& tail, float alpha) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops after;
  if (alpha != 1) set_factor(attributes, after, alpha);
  if (tail.sum.valid()) after.append_sum(1.0F);
  if (const auto eltwise = eltwise_of(tail))
    append_eltwise(after, eltwise->kind, eltwise->alpha, eltwise->beta);
  attributes.set_post_ops(after);
  return attributes;
}

PickImplementation wanted_implementation(const BindContext& context) {
  return [name = context.implementation](dnnl::primitive_desc& first) {
    return name.empty() || select_implementation(first, name);
  };
}

PickImplementation fast_implementation(const BindContext& context) {
  return [name = context.implementation](dnnl::primitive_desc& first) {
    return select_implementation(first, name);
  };
}

PickImplementation gather_implementations(std::vector<std::string>& names) {
  return [&names](dnnl::primitive_desc& first) {
    for (std::string& name : implementation_names(first))
      if (std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(std::move(name));
    return false;
  };
}

std::unique_ptr<BoundStep> with_input(std::unique_ptr<OnednnStep> step, const memory::desc& array,
                                      const memory::desc& wanted, ViewId input,
                                      const BindContext& context) {
  const ViewAddress address = context.address(input);
  const bool fixed = context.is_fixed(input);
  if (data_type_of(wanted) != memory::data_type::f32) {
    const auto give = [product = step.get()](const memory& rounded) {
      product->add(DNNL_ARG_SRC, rounded);
    };
    return std::make_unique<RoundedInputStep>(std::move(step), give, wanted, array, address, fixed,
                                              context);
  }
  step->add(DNNL_ARG_SRC, array, address, context, fixed);
  return step;
}

}  // namespace lathe
