#include "engine/fallback_partition.h"

#include <cstring>

#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "names/engines.h"
#include "run/interpreter.h"

namespace lathe {
namespace {

class BoundFallback : public BoundStep {
 public:
  BoundFallback(const FallbackStep& step, const Graph& graph, const BindContext& context,
                std::vector<RuntimeValue>& slots)
      : step_(step), interpreter_(graph), slots_(slots) {
    for (const PlanValue& value : step.inputs) inputs_.push_back(end_of(value, context));
    for (const PlanValue& value : step.outputs) {
      outputs_.push_back(end_of(value, context));
      fills_slots_ = fills_slots_ || value.slot >= 0;
    }
  }

  void run(const ProgramMemory& memory) override {
    std::vector<RuntimeValue> inputs;
    for (const End& end : inputs_) {
      if (end.slot >= 0) {
        inputs.push_back(slots_[static_cast<size_t>(end.slot)]);
        continue;
      }
      at::Tensor input = at::from_blob(end.address.in(memory), end.shape,
                                       at::TensorOptions(storage_type(end.dtype)));
      // What is kept for later steps must not refer to memory that is another value's by then.
      inputs.emplace_back(fills_slots_ ? input.clone() : std::move(input), end.dtype);
    }
    std::vector<RuntimeValue> results = interpreter_.run(std::move(inputs));
    for (size_t i = 0; i < results.size(); ++i) {
      const End& end = outputs_[i];
      if (end.slot >= 0) {
        slots_[static_cast<size_t>(end.slot)] = std::move(results[i]);
        continue;
      }
      const at::Tensor tensor = results[i].tensor->contiguous();
      if (tensor.sizes().vec() != end.shape || tensor.scalar_type() != storage_type(end.dtype))
        throw InternalError("fallback partition: another shape or type than was inferred");
      // An array without elements may have no address.
      if (tensor.nbytes() > 0)
        std::memcpy(end.address.in(memory), tensor.data_ptr(), tensor.nbytes());
    }
  }

  std::string_view implementation() const override { return kInterpreterEngine; }
  bool uses_pool() const override { return true; }

 private:
  struct End {
    int32_t slot = -1;
    ViewAddress address;
    Shape shape;
    DType dtype = DType::kFloat32;
  };
  static End end_of(const PlanValue& value, const BindContext& context) {
    if (value.slot >= 0) return {value.slot, {}, {}, DType::kUndefined};
    const PlanView& view = context.view(value.view);
    return {-1, context.address(value.view), view.shape, view.dtype};
  }

  FallbackStep step_;
  Interpreter interpreter_;
  std::vector<RuntimeValue>& slots_;
  std::vector<End> inputs_;
  std::vector<End> outputs_;
  bool fills_slots_ = false;
};

}  // namespace

std::unique_ptr<BoundStep> bind_fallback(const FallbackStep& step, const Graph& graph,
                                         const BindContext& context,
                                         std::vector<RuntimeValue>& slots) {
  return std::make_unique<BoundFallback>(step, graph, context, slots);
}

Program::BindFallback fallback_binder(const std::vector<Graph>& partitions,
                                      std::vector<RuntimeValue>& slots) {
  return [&](const FallbackStep& step, const BindContext& context) {
    return bind_fallback(step, partitions.at(static_cast<size_t>(step.partition)), context, slots);
  };
}

}  // namespace lathe
