#include "plan/plan.h"

#include <algorithm>
#include <numeric>

namespace lathe {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

}  // namespace

std::vector<int64_t> dense_strides(const Shape& shape, const std::vector<int64_t>& order) {
  std::vector<int64_t> strides(shape.size(), 1);
  int64_t stride = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const auto axis = static_cast<size_t>(order[i]);
    strides[axis] = stride;
    stride *= std::max<int64_t>(shape[axis], 1);
  }
  return strides;
}

std::vector<int64_t> dense_strides(const Shape& shape) {
  std::vector<int64_t> order(shape.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  return dense_strides(shape, order);
}

bool is_dense(const PlanView& view) {
  const std::vector<int64_t> dense = dense_strides(view.shape);
  for (size_t i = 0; i < view.shape.size(); ++i)
    if (view.shape[i] > 1 && view.strides[i] != dense[i]) return false;
  return true;
}

int64_t span_elements(const PlanView& view) {
  int64_t last = 0;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    if (view.shape[i] == 0) return 0;
    last += (view.shape[i] - 1) * view.strides[i];
  }
  return last + 1;
}

StepViews views_of(const PlanStep& step) {
  StepViews views;
  const auto reads = [&](std::initializer_list<ViewId> ids) {
    for (const ViewId id : ids)
      if (id.valid()) views.reads.push_back(id);
  };
  const auto writes = [&](ViewId id) { views.writes.push_back(id); };
  std::visit(
      Overloaded{
          [&](const ProductStep& s) {
            reads({s.input, s.weights, s.scale, s.bias, s.epilogue.residual, s.epilogue.table});
            writes(s.output);
          },
          [&](const DepthwiseStep& s) {
            reads({s.input, s.weights, s.scale, s.bias, s.epilogue.residual, s.epilogue.table});
            writes(s.output);
          },
          [&](const FloatConvStep& s) {
            reads({s.input, s.weights, s.bias, s.tail.sum});
            writes(s.output);
          },
          [&](const FloatMatMulStep& s) {
            reads({s.a, s.b, s.bias, s.tail.sum});
            writes(s.output);
          },
          [&](const ElementwiseProgramStep& s) {
            for (const ViewId id : s.inputs) reads({id});
            writes(s.output);
          },
          [&](const LookupStep& s) {
            reads({s.input, s.table});
            writes(s.output);
          },
          [&](const ConvertStep& s) {
            reads({s.input});
            writes(s.output);
          },
          [&](const CopyStep& s) {
            reads({s.input});
            writes(s.output);
          },
          [&](const CastStep& s) {
            reads({s.input});
            writes(s.output);
          },
          [&](const GatherStep& s) {
            reads({s.input, s.indices});
            writes(s.output);
          },
          [&](const FillStep& s) { writes(s.output); },
          [&](const PoolStep& s) {
            reads({s.input});
            writes(s.output);
          },
          [&](const SoftmaxStep& s) {
            reads({s.input});
            writes(s.output);
          },
          [&](const LayerNormStep& s) {
            reads({s.input, s.scale, s.bias});
            writes(s.output);
          },
          [&](const ReduceStep& s) {
            reads({s.input});
            writes(s.output);
          },
          [&](const ResizeStep& s) {
            reads({s.input});
            writes(s.output);
          },
          [&](const RecurrentStep& s) {
            reads({s.input, s.weights, s.feedback, s.weights_scale, s.feedback_scale, s.bias,
                   s.peepholes, s.lengths, s.initial_hidden, s.initial_cell});
            for (const ViewId id : {s.output, s.last_hidden, s.last_cell})
              if (id.valid()) writes(id);
          },
          [&](const DynamicQuantizeStep& s) {
            reads({s.input});
            for (const ViewId id : {s.output, s.scale, s.zero_point}) writes(id);
          },
          [&](const IntegerMatMulStep& s) {
            reads({s.input, s.weights, s.zero_point, s.shifts, s.scale, s.factor, s.bias});
            writes(s.output);
          },
          [&](const FallbackStep& s) {
            for (const PlanValue& value : s.inputs) reads({value.view});
            for (const PlanValue& value : s.outputs)
              if (value.view.valid()) writes(value.view);
          },
      },
      step.kind);
  return views;
}

bool may_round(const PlanStep& step) {
  const auto* conv = std::get_if<FloatConvStep>(&step.kind);
  const auto* product = std::get_if<FloatMatMulStep>(&step.kind);
  return (conv && conv->bfloat16) || (product && product->bfloat16);
}

std::string_view step_name(const StepKind& step) {
  constexpr std::string_view kNames[] = {
      "product",          "depthwise",      "float_conv", "float_matmul", "elementwise",
      "lookup",           "convert",        "copy",       "fill",         "pool",
      "softmax",          "layer_norm",     "reduce",     "resize",       "recurrent",
      "dynamic_quantize", "integer_matmul", "cast",       "gather",       "fallback"};
  static_assert(std::size(kNames) == std::variant_size_v<StepKind>);
  return kNames[step.index()];
}

void place_blocks(NativePlan& plan) {
  std::vector<int32_t> first(plan.blocks.size(), INT32_MAX);
  std::vector<int32_t> last(plan.blocks.size(), -1);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const StepViews views = views_of(plan.steps[i]);
    const auto step = static_cast<int32_t>(i);
    for (const std::vector<ViewId>* side : {&views.reads, &views.writes}) {
      for (const ViewId id : *side) {
        const auto block = static_cast<size_t>(plan.views[static_cast<size_t>(id.index)].block);
        first[block] = std::min(first[block], step);
        last[block] = std::max(last[block], step);
      }
    }
  }
  std::vector<BufferRequest> requests;
  std::vector<size_t> placed;
  for (size_t i = 0; i < plan.blocks.size(); ++i) {
    if (plan.blocks[i].place != BlockPlace::kArena || last[i] < 0) continue;
    requests.push_back({plan.blocks[i].bytes, first[i], last[i]});
    placed.push_back(i);
  }
  const MemoryPlan memory = plan_memory(requests, kBlockAlignment);
  for (size_t i = 0; i < placed.size(); ++i) plan.blocks[placed[i]].offset = memory.offsets[i];
  plan.arena_bytes = memory.arena_bytes;
  plan.arena_lower_bound = memory.lower_bound;
}

}  // namespace lathe
