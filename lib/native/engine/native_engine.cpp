#include "engine/native_engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/fallback_partition.h"
#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "plan/divide_plan.h"
#include "run/threads.h"

namespace lathe {
namespace {

// By name: the plan was made of another form of the graph. Parts of a node that was written out in
// several have its name and more.
NodeId named(const Graph& graph, std::string name) {
  for (;;) {
    if (const NodeId node = graph.find_node(name); node.valid()) return node;
    const size_t cut = name.rfind('_');
    if (cut == std::string::npos || cut == 0) return {};
    name.resize(cut);
  }
}

// The node that people know a step by: of several the one with products, not what unpacks its
// weight.
NodeId node_of(const Graph& graph, const PlanStep& step) {
  NodeId first;
  for (const std::string& name : step.nodes) {
    const NodeId node = named(graph, name);
    if (!node.valid()) continue;
    if (op_row(graph.node(node).kind).macs != nullptr) return node;
    if (!first.valid()) first = node;
  }
  return first;
}

std::vector<Shape> shapes_of(const std::vector<RuntimeValue>& values) {
  std::vector<Shape> shapes;
  for (const RuntimeValue& value : values)
    shapes.push_back(value.is_tensor() ? value.tensor->sizes().vec() : Shape{});
  return shapes;
}

void require_type(const Graph& graph, size_t index, const RuntimeValue& value,
                  const PlanView& view) {
  if (value.is_tensor() && value.tensor->scalar_type() == storage_type(view.dtype)) return;
  throw bad_input("native.input",
                  fmt::format("the input is to be a tensor of {}", dtype_name(view.dtype)),
                  "input " + escape_untrusted(graph.value(graph.inputs()[index]).name));
}

}  // namespace

NativeEngine::Prepared::Prepared(LoweredGraph lowered, const ProgramOptions& options)
    : slots(lowered.plan.slots.size()) {
  const int64_t parts = worthwhile_parts(lowered.plan, options.threads);
  program = std::make_unique<BatchProgram>(std::move(lowered.plan), parts, options,
                                           fallback_binder(lowered.partitions, slots));
  for (const Graph& partition : lowered.partitions)
    for (const NodeId id : partition.node_ids())
      ++interpreted[std::string(partition.node(id).type_name())];
}

std::vector<RuntimeValue> NativeEngine::Prepared::run(const Graph& graph,
                                                      const std::vector<RuntimeValue>& inputs,
                                                      const Program::StepObserver& observer) {
  const NativePlan& plan = program->plan();
  std::vector<at::Tensor> held;
  std::vector<const void*> in;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (plan.inputs[i].slot >= 0) {
      slots[static_cast<size_t>(plan.inputs[i].slot)] = inputs[i];
      in.push_back(nullptr);
      continue;
    }
    require_type(graph, i, inputs[i], plan.views[static_cast<size_t>(plan.inputs[i].view.index)]);
    held.push_back(inputs[i].tensor->contiguous());
    in.push_back(held.back().data_ptr());
  }
  std::vector<RuntimeValue> results;
  std::vector<void*> out;
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const DType dtype = graph.value(graph.outputs()[i]).type.dtype;
    if (plan.outputs[i].slot >= 0) {
      results.emplace_back();
      out.push_back(nullptr);
      continue;
    }
    const PlanView& view = plan.views[static_cast<size_t>(plan.outputs[i].view.index)];
    results.emplace_back(at::empty(view.shape, storage_type(view.dtype)),
                         dtype == DType::kUndefined ? view.dtype : dtype);
    out.push_back(results.back().tensor->data_ptr());
  }
  program->run(in, out, observer);
  for (size_t i = 0; i < plan.outputs.size(); ++i)
    if (plan.outputs[i].slot >= 0) results[i] = slots[static_cast<size_t>(plan.outputs[i].slot)];
  return results;
}

NativeEngine::NativeEngine(const Graph& graph, LowerShapes lower, bool onednn_products)
    : graph_(graph), lower_(std::move(lower)), onednn_products_(onednn_products) {}

NativeEngine::NativeEngine(const Graph& graph, SpecializeGraph specialize, bool onednn_products)
    : NativeEngine(
          graph,
          LowerShapes([specialize = std::move(specialize)](const std::vector<Shape>& shapes) {
            return lower_graph(specialize(shapes));
          }),
          onednn_products) {}

NativeEngine::~NativeEngine() = default;

const NativeEngine::Prepared& NativeEngine::prepared(const std::vector<Shape>& shapes) {
  std::unique_ptr<Prepared>& found = prepared_[shapes];
  if (found) return *found;
  ProgramOptions options;
  options.threads = thread_count();
  options.onednn_products = onednn_products_;
  found = std::make_unique<Prepared>(lower_(shapes), options);
  return *found;
}

void NativeEngine::prepare(const std::vector<std::vector<Tensor>>& samples) {
  if (samples.empty()) throw InternalError("NativeEngine::prepare: no samples");
  samples_.clear();
  of_sample_.clear();
  for (const std::vector<Tensor>& sample : samples) {
    std::vector<RuntimeValue>& values = samples_.emplace_back();
    for (const Tensor& tensor : sample) values.push_back(to_runtime(tensor));
    of_sample_.push_back(const_cast<Prepared*>(&prepared(shapes_of(values))));
  }
}

void NativeEngine::execute(size_t iteration) {
  if (samples_.empty()) throw InternalError("NativeEngine::execute: nothing was prepared");
  const size_t i = iteration % samples_.size();
  Prepared& prepared = *of_sample_[i];
  if (!observer_) {
    prepared.run(graph_, samples_[i], {});
    return;
  }
  const NativePlan& plan = prepared.program->plan();
  prepared.run(graph_, samples_[i], [&](size_t step, int64_t duration_ns) {
    if (const NodeId node = node_of(graph_, plan.steps[step]); node.valid())
      observer_(node, duration_ns);
  });
}

std::vector<RuntimeValue> NativeEngine::run(const std::vector<RuntimeValue>& inputs) {
  Prepared& ready = const_cast<Prepared&>(prepared(shapes_of(inputs)));
  return ready.run(graph_, inputs, {});
}

EngineFacts NativeEngine::facts() {
  if (of_sample_.empty()) throw InternalError("NativeEngine::facts: nothing was prepared");
  Prepared& first = *of_sample_.front();
  const NativePlan& plan = first.program->plan();
  EngineFacts facts;
  facts.arena_bytes = first.program->arena_bytes();
  facts.arena_lower_bound = first.program->arena_lower_bound();
  facts.batch_parts = first.program->parts();
  facts.interpreted = first.interpreted;
  for (size_t i = 0; i < plan.steps.size(); ++i)
    if (may_round(plan.steps[i]) &&
        first.program->implementation(i).find("bf16") != std::string_view::npos)
      ++facts.bfloat16_products;
  if (facts.interpreted.empty()) return facts;
  int64_t all = 0;
  int64_t partitions = 0;
  first.run(graph_, samples_.front(), [&](size_t step, int64_t duration_ns) {
    all += duration_ns;
    if (std::holds_alternative<FallbackStep>(plan.steps[step].kind)) partitions += duration_ns;
  });
  if (all > 0) facts.interpreted_share = static_cast<double>(partitions) / static_cast<double>(all);
  return facts;
}

int64_t NativeEngine::lone_runs() const {
  int64_t runs = 0;
  for (const auto& [shapes, ready] : prepared_) runs += ready->program->lone_runs();
  return runs;
}

bool NativeEngine::observe(NodeObserver observer) {
  observer_ = std::move(observer);
  return true;
}

}  // namespace lathe
