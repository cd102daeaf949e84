#include "plan/step_rows.h"

#include <algorithm>
#include <concepts>

namespace lathe {
namespace {

template <class T, class... Others>
concept Among = (std::same_as<T, Others> || ...);

class RowsOf {
 public:
  explicit RowsOf(const NativePlan& plan) : plan_(plan) {}

  // Steps that keep the rows of their one input.
  template <class Step>
  requires Among<Step, ConvertStep, CopyStep, CastStep, PoolStep, ResizeStep>
      std::optional<StepRows>
  operator()(const Step& s) const { return found({s.input, s.output}, {}); }
  std::optional<StepRows> operator()(const ProductStep& s) const {
    // The last axis is contracted.
    if (rank(s.input) < 2 || rank(s.output) < 2) return {};
    return found({s.input, s.output, s.epilogue.residual},
                 {s.weights, s.scale, s.bias, s.epilogue.table});
  }
  std::optional<StepRows> operator()(const DepthwiseStep& s) const {
    return found({s.input, s.output, s.epilogue.residual},
                 {s.weights, s.scale, s.bias, s.epilogue.table});
  }
  std::optional<StepRows> operator()(const FloatConvStep& s) const {
    return found({s.input, s.output, s.tail.sum}, {s.weights, s.bias});
  }
  std::optional<StepRows> operator()(const FloatMatMulStep& s) const {
    StepRows found_rows{{s.output, s.tail.sum}, {s.bias}};
    const auto add = [&](ViewId factor, bool has_rows) {
      (has_rows ? found_rows.rows : found_rows.whole).push_back(factor);
    };
    // Two axes: rows of the left factor are those of the result. More: the first counts matrices.
    const size_t out = rank(s.output);
    const auto counts_matrices = [&](ViewId factor) {
      return out >= 3 && rank(factor) == out && first(factor) > 1;
    };
    add(s.a, out == 2 || counts_matrices(s.a));
    add(s.b, counts_matrices(s.b));
    return found(std::move(found_rows.rows), std::move(found_rows.whole));
  }
  std::optional<StepRows> operator()(const ElementwiseProgramStep& s) const {
    std::vector<ViewId> rows = s.inputs;
    rows.push_back(s.output);
    return found(std::move(rows), {});
  }
  std::optional<StepRows> operator()(const LookupStep& s) const {
    return found({s.input, s.output}, {s.table});
  }
  std::optional<StepRows> operator()(const GatherStep& s) const {
    if (s.axis == 0) return found({s.indices, s.output}, {s.input});
    return found({s.input, s.output}, {s.indices});
  }
  std::optional<StepRows> operator()(const FillStep& s) const { return found({s.output}, {}); }
  std::optional<StepRows> operator()(const SoftmaxStep& s) const {
    if (rank(s.input) < 2) return {};
    return found({s.input, s.output}, {});
  }
  std::optional<StepRows> operator()(const LayerNormStep& s) const {
    if (s.axes == static_cast<int64_t>(rank(s.input))) return {};
    return found({s.input, s.output}, {s.scale, s.bias});
  }
  std::optional<StepRows> operator()(const ReduceStep& s) const {
    if (std::ranges::find(s.axes, 0) != s.axes.end()) return {};
    return found({s.input, s.output}, {});
  }
  // Time comes first.
  std::optional<StepRows> operator()(const RecurrentStep&) const { return {}; }
  // The range is that of all rows.
  std::optional<StepRows> operator()(const DynamicQuantizeStep&) const { return {}; }
  std::optional<StepRows> operator()(const IntegerMatMulStep& s) const {
    if (rank(s.input) < 2 || rank(s.output) < 2) return {};
    return found({s.input, s.output},
                 {s.weights, s.zero_point, s.shifts, s.scale, s.factor, s.bias});
  }
  std::optional<StepRows> operator()(const FallbackStep&) const { return {}; }

 private:
  const Shape& shape(ViewId id) const { return plan_.views[static_cast<size_t>(id.index)].shape; }
  size_t rank(ViewId id) const { return shape(id).size(); }
  int64_t first(ViewId id) const { return shape(id).front(); }

  std::optional<StepRows> found(std::vector<ViewId> rows, std::vector<ViewId> whole) const {
    std::erase_if(rows, [](ViewId id) { return !id.valid(); });
    std::erase_if(whole, [](ViewId id) { return !id.valid(); });
    for (const ViewId id : rows)
      if (rank(id) == 0 || first(id) != first(rows.front())) return {};
    return StepRows{std::move(rows), std::move(whole)};
  }

  const NativePlan& plan_;
};

}  // namespace

std::optional<StepRows> rows_of(const PlanStep& step, const NativePlan& plan) {
  return std::visit(RowsOf(plan), step.kind);
}

}  // namespace lathe
