// Float matrix products by oneDNN.
#include <algorithm>

#include "onednn/blocked_matmul.h"
#include "onednn/float_products.h"
#include "onednn/onednn_blocks.h"
#include "program/own_float_products.h"
#include "onednn/rounded_input_step.h"

namespace lathe {
namespace {

using dnnl::memory;

/// What is multiplied is the weights that were rounded beforehand.
bool rounds(const FloatMatMulStep& step, const BindContext& context) {
  const BlockPlace place =
      context.plan.blocks[static_cast<size_t>(context.view(step.b).block)].place;
  return step.bfloat16 && place == BlockPlace::kConstant && multiplies_bfloat16();
}

struct MatrixProduct {
  memory::desc a, b, output, bias;
  bool constant = false;  // b is
  dnnl::matmul::primitive_desc chosen;
};

MatrixProduct describe(const FloatMatMulStep& step, const BindContext& context,
                       const FloatFactors& factors, const PickImplementation& pick) {
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
  using Operation = OnednnOperation<dnnl::matmul>;
  const Operation operation = step.bias.valid() ? Operation(input, weights, made.bias, made.output)
                                                : Operation(input, weights, made.output);
  made.chosen = choose_primitive(operation, attributes_of(step.tail, step.alpha), factors, pick);
  return made;
}

std::unique_ptr<BoundStep> matrix_product(const FloatMatMulStep& step, const BindContext& context,
                                          const MatrixProduct& made) {
  const auto& chosen = made.chosen;
  auto bound = std::make_unique<OnednnStep>(chosen, context.threads);
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

/// Waking a thread takes longer than the product: one computes it, in one piece.
bool is_small(const FloatMatMulStep& step, const BindContext& context) {
  constexpr int64_t kLeastMacs = 1 << 18;
  const Shape& a = context.view(step.a).shape;
  return !a.empty() && element_count(context.view(step.output).shape) * a.back() < kLeastMacs;
}

std::unique_ptr<BoundStep> bind_matrix_product(const FloatMatMulStep& step,
                                               const BindContext& context) {
  if (rounds(step, context))
    if (const MatrixProduct made =
            describe(step, context, kRoundedFactors, fast_implementation(context));
        made.chosen)
      return matrix_product(step, context, made);
  const MatrixProduct made = describe(step, context, kExactFactors, wanted_implementation(context));
  const PlanView& a = context.view(step.a);
  const size_t rank = a.shape.size();
  const int64_t rows = rank > 1 ? a.shape[rank - 2] : 1;
  const bool turned = a.strides.back() != 1 || (rank > 1 && a.strides[rank - 2] < a.shape.back());
  if (sums_by_threads(made.chosen.impl_info_str(), rows, a.shape.back(), turned) &&
      !is_small(step, context))
    return bind_blocked_matmul(step, attributes_of(step.tail, step.alpha), context);
  return matrix_product(step, context, made);
}

}  // namespace

std::unique_ptr<BoundStep> bind_float_matmul(const FloatMatMulStep& step,
                                             const BindContext& context) {
  if (context.implementation == kOwnFloatProduct) return bind_own_float_matmul(step, context);
  if (context.threads > 1 && is_small(step, context)) {
    BindContext alone = context;
    alone.threads = 1;
    return bind_float_matmul(step, alone);
  }
  return with_onednn_errors("matrix product", context,
                            [&] { return bind_matrix_product(step, context); });
}

std::vector<std::string> onednn_implementations(const FloatMatMulStep& step,
                                                const BindContext& context) {
  return with_onednn_errors("matrix product", context, [&] {
    std::vector<std::string> names;
    if (rounds(step, context))
      describe(step, context, kRoundedFactors, gather_implementations(names));
    describe(step, context, kExactFactors, gather_implementations(names));
    return names;
  });
}

}  // namespace lathe
