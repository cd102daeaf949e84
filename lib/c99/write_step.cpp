// Which file writes which kind of step.
#include <fmt/format.h>

#include "c99/code_context.h"
#include "c99/read_signed.h"

namespace lathe {
namespace {

template <class... Functions>
struct Choice : Functions... {
  using Functions::operator()...;
};
template <class... Functions>
Choice(Functions...) -> Choice<Functions...>;

}  // namespace

bool rounds_in_floats(const NativePlan& plan, const PlanStep& step) {
  const auto is_bytes = [&](ViewId id) { return element_bytes(view_of(plan, id)) == 1; };
  return std::visit(
      Choice{[](const ProductStep& s) { return s.epilogue.table.valid(); },
             [](const DepthwiseStep& s) { return s.epilogue.table.valid(); },
             [](const CopyStep&) { return false; },
             [&](const LookupStep& s) { return !turns_signs(plan, s.table); },
             [&](const ElementwiseProgramStep& s) { return !is_byte_binary(plan, s); },
             [&](const ConvertStep& s) { return is_bytes(s.output) && !is_bytes(s.input); },
             [&](const PoolStep& s) { return s.average && !is_whole_average(plan, s); },
             [&](const SoftmaxStep& s) { return !is_bytes(s.output); },
             [](const auto&) { return true; }},
      step.kind);
}

bool is_float_in_ort(const NativePlan& plan, const PlanStep& step) {
  if (const auto* s = std::get_if<ProductStep>(&step.kind)) return s->is_transposed;
  if (const auto* s = std::get_if<PoolStep>(&step.kind)) return s->is_mean;
  if (const auto* s = std::get_if<ResizeStep>(&step.kind))
    return !s->row_weight.empty() && element_bytes(view_of(plan, s->input)) == 1;
  return false;
}

namespace {

// What overwrites its input as it reads it must not read that in another way, too: as the residual of
// a product, which is added in a pass of its own, or turned.
bool reads_twice(const NativePlan& plan, const PlanStep& step, ViewId input) {
  const bool is_one_pass = std::holds_alternative<ElementwiseProgramStep>(step.kind);
  int count = 0;
  for (const ViewId read : views_of(step).reads)
    if (view_of(plan, read).block == view_of(plan, input).block && !(is_one_pass && read == input))
      ++count;
  return count > (is_one_pass ? 0 : 1);
}

}  // namespace

StepNeeds needs_of(const NativePlan& plan, const PlanStep& step) {
  StepNeeds needs = std::visit(
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
  if (needs.overlap && reads_twice(plan, step, needs.overlap->input)) needs.overlap.reset();
  return needs;
}

std::string write_step(CodeContext& code, const PlanStep& step, size_t index) {
  return std::visit(
      Choice{[&](const ProductStep&) { return write_product(code, step, index); },
             [&](const DepthwiseStep&) { return write_depthwise(code, step, index); },
             [&](const PoolStep& s) { return write_pool(code, s, index); },
             [&](const ResizeStep& s) { return write_resize(code, s, index); },
             [&](const FloatConvStep&) { return write_floats(code, step); },
             [&](const FloatMatMulStep&) { return write_floats(code, step); },
             [&](const SoftmaxStep& s) {
               return code.view(s.input).dtype == DType::kFloat32
                          ? write_floats(code, step)
                          : write_byte_softmax(code, s, index);
             },
             [&](const LayerNormStep&) { return write_floats(code, step); },
             [&](const ReduceStep&) { return write_floats(code, step); },
             [&](const GatherStep& s) { return write_gather(code, step, s, index); },
             [&](const RecurrentStep&) { return write_recurrent(code, step, index); },
             [&](const auto&) { return write_elements(code, step, index); }},
      step.kind);
}

}  // namespace lathe
