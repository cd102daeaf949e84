#include "c99/fixed_point.h"

#include <algorithm>
#include <cmath>

namespace lathe {
namespace {

// The only step that writes a view's block, and the only one that reads it; -1: there is none, or
// several.
struct Neighbours {
  std::ptrdiff_t writer = -1;
  std::ptrdiff_t reader = -1;
};

Neighbours neighbours_of(const NativePlan& plan, ViewId id) {
  const int32_t block = view_of(plan, id).block;
  Neighbours found;
  int writers = 0;
  int readers = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const auto touches = [&](const std::vector<ViewId>& views) {
      return std::ranges::any_of(
          views, [&](ViewId view) { return view_of(plan, view).block == block; });
    };
    const StepViews views = views_of(plan.steps[i]);
    if (touches(views.writes)) found.writer = static_cast<std::ptrdiff_t>(i), ++writers;
    if (touches(views.reads)) found.reader = static_cast<std::ptrdiff_t>(i), ++readers;
  }
  if (writers != 1) found.writer = -1;
  if (readers != 1) found.reader = -1;
  return found;
}

const ConvertStep* conversion(const NativePlan& plan, std::ptrdiff_t step) {
  return step < 0 ? nullptr : std::get_if<ConvertStep>(&plan.steps[static_cast<size_t>(step)].kind);
}

bool is_dense_bytes(const PlanView& view) {
  return view.dtype == DType::kUInt8 && view.scale > 0 && is_dense(view);
}

}  // namespace

FixedPoint fixed_point(double factor) {
  FixedPoint point;
  if (!(factor > 0)) return point;
  const double part = std::frexp(factor, &point.shift);
  auto whole = static_cast<int64_t>(std::round(part * 0x1p31));
  if (whole == int64_t{1} << 31) {
    whole /= 2;
    ++point.shift;
  }
  if (point.shift < -31) return {};
  point.multiplier = static_cast<int32_t>(whole);
  return point;
}

SoftmaxTerms softmax_terms(double input_scale) {
  // 5 bits before the point of 31.
  const double factor = std::min(input_scale * 0x1p26, 0x1p31 - 1);
  SoftmaxTerms terms;
  terms.difference = fixed_point(factor);
  terms.least_difference =
      -static_cast<int32_t>(std::floor(31 * 0x1p26 / std::exp2(terms.difference.shift)));
  return terms;
}

int fuse_byte_softmax(NativePlan& plan) {
  int count = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const auto* softmax = std::get_if<SoftmaxStep>(&plan.steps[i].kind);
    if (softmax == nullptr || softmax->logarithm) continue;
    const Neighbours before = neighbours_of(plan, softmax->input);
    const Neighbours after = neighbours_of(plan, softmax->output);
    const ConvertStep* from = conversion(plan, before.writer);
    const ConvertStep* to = conversion(plan, after.reader);
    const auto self = static_cast<std::ptrdiff_t>(i);
    if (from == nullptr || to == nullptr || before.reader != self || after.writer != self) continue;
    const PlanView& input = view_of(plan, from->input);
    const PlanView& output = view_of(plan, to->output);
    if (!is_dense_bytes(input) || !is_dense_bytes(output) || output.scale != 0x1p-8F ||
        output.zero_point != 0)
      continue;
    SoftmaxStep fused;
    fused.input = from->input;
    fused.output = to->output;
    plan.steps[i].kind = fused;
    // The later one first.
    plan.steps.erase(plan.steps.begin() + after.reader);
    plan.steps.erase(plan.steps.begin() + before.writer);
    --i;
    ++count;
  }
  return count;
}

}  // namespace lathe
