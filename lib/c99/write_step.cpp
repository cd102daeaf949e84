// Which file writes which kind of step.
#include <fmt/format.h>

#include "c99/code_context.h"

namespace lathe {
namespace {

template <class... Functions>
struct Choice : Functions... {
  using Functions::operator()...;
};
template <class... Functions>
Choice(Functions...) -> Choice<Functions...>;

}  // namespace

StepNeeds needs_of(const NativePlan& plan, const PlanStep& step) {
  return std::visit(
      Choice{[&](const ProductStep& s) { return needs_of_product(plan, s); },
             [&](const DepthwiseStep& s) { return needs_of_depthwise(plan, s); },
             [&](const LookupStep& s) { return needs_of_elements(plan, s.input, s.output); },
             [&](const ConvertStep& s) { return needs_of_elements(plan, s.input, s.output); },
             [&](const ElementwiseProgramStep& s) {
               return s.inputs.empty() ? StepNeeds{}
                                       : needs_of_elements(plan, s.inputs[0], s.output);
             },
             [&](const RecurrentStep& s) { return needs_of_recurrent(plan, s); },
             [&](const SoftmaxStep& s) { return needs_of_elements(plan, s.input, s.output); },
             [](const auto&) { return StepNeeds{}; }},
      step.kind);
}

std::string write_step(CodeContext& code, const PlanStep& step, size_t index) {
  return std::visit(
      Choice{[&](const ProductStep&) { return write_product(code, step, index); },
             [&](const DepthwiseStep&) { return write_depthwise(code, step, index); },
             [&](const PoolStep& s) { return write_pool(code, s, index); },
             [&](const ResizeStep& s) { return write_resize(code, step, s, index); },
             [&](const FloatConvStep&) { return write_floats(code, step); },
             [&](const FloatMatMulStep&) { return write_floats(code, step); },
             [&](const SoftmaxStep&) { return write_floats(code, step); },
             [&](const LayerNormStep&) { return write_floats(code, step); },
             [&](const ReduceStep&) { return write_floats(code, step); },
             [&](const RecurrentStep&) { return write_recurrent(code, step, index); },
             [&](const auto&) { return write_elements(code, step); }},
      step.kind);
}

}  // namespace lathe
