#include "run/interpreter.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <set>

#include "evaluate/opaque_ops.h"
#include "ir/error.h"
#include "run/constant_value.h"
#include "run/control_flow.h"
#include "run/foreign_errors.h"
#include "run/node_call.h"
#include "run/string_ops.h"

namespace lathe {
namespace {

bool is_runnable(const Node& node) {
  return is_control_flow(node.kind) || is_sequence_op(node.kind) || is_string_op(node.kind) ||
         evaluate_function(node) != nullptr;
}

void collect_unsupported(const Graph& graph, std::set<std::string>& names) {
  for_each_graph(graph, [&](const Graph& inner) {
    for (const NodeId id : inner.node_ids()) {
      const Node& node = inner.node(id);
      if (is_runnable(node)) continue;
      const std::string domain = escape_untrusted(node.domain());
      names.insert(domain + (domain.empty() ? "" : ".") + escape_untrusted(node.type_name()));
    }
  });
}

}  // namespace

std::vector<std::string> unsupported_ops(const Graph& graph) {
  std::set<std::string> names;
  collect_unsupported(graph, names);
  return {names.begin(), names.end()};
}

Interpreter::~Interpreter() = default;

Interpreter::Interpreter(Graph graph, bool allow_unsupported) : graph_(std::move(graph)) {
  if (!allow_unsupported) {
    const std::vector<std::string> missing = unsupported_ops(graph_);
    if (!missing.empty())
      throw bad_input(
          "run.unsupported_op",
          fmt::format("lathe cannot run {}: {}", missing.size() == 1 ? "this op" : "these ops",
                      fmt::join(missing, ", ")),
          {}, "the file can still be inspected and copied");
  }
  for (const ValueId id : graph_.value_ids())
    slot_count_ = std::max(slot_count_, static_cast<size_t>(id.index) + 1);
  constants_.resize(slot_count_);
  for (const ValueId id : graph_.value_ids()) {
    const Tensor* constant = graph_.constant(id);
    if (constant != nullptr) constants_[static_cast<size_t>(id.index)] = to_runtime(*constant);
  }
  std::vector<int> last_step(slot_count_, -1);
  const std::vector<NodeId> order = graph_.order();
  for (const NodeId id : order) {
    if (hold_dequantized(graph_.node(id), constants_)) continue;
    Step step;
    step.node = id;
    const int position = static_cast<int>(steps_.size());
    const Node& node = graph_.node(id);
    const auto touch = [&](ValueId value) {
      if (value.valid()) last_step[static_cast<size_t>(value.index)] = position;
    };
    for (const ValueId input : node.inputs) touch(input);
    for (const ValueId output : node.outputs) touch(output);
    for (const Subgraph& subgraph : node.subgraphs) {
      for (const ValueId capture : subgraph.captures) touch(capture);
      step.bodies.push_back(std::make_unique<Interpreter>(subgraph.graph(), true));
    }
    steps_.push_back(std::move(step));
  }
  for (const ValueId id : graph_.outputs()) last_step[static_cast<size_t>(id.index)] = -1;
  for (size_t i = 0; i < slot_count_; ++i)
    if (last_step[i] >= 0 && constants_[i].is_absent())
      steps_[static_cast<size_t>(last_step[i])].dying.push_back({static_cast<int32_t>(i)});
}

const RuntimeValue& Interpreter::constant(ValueId id, const RunOptions& options) const {
  const auto slot = static_cast<size_t>(id.index);
  const bool replaced = slot < options.constants.size() && !options.constants[slot].is_absent();
  return replaced ? options.constants[slot] : constants_[slot];
}

std::vector<RuntimeValue> Interpreter::run_step(const Step& step,
                                                const std::vector<RuntimeValue>& slots,
                                                const RunOptions& options,
                                                int64_t& node_runs_left) const {
  const Node& node = graph_.node(step.node);
  const auto read = [&](ValueId id) {
    if (!id.valid()) return RuntimeValue{};
    const RuntimeValue& held = constant(id, options);
    return held.is_absent() ? slots[static_cast<size_t>(id.index)] : held;
  };
  std::vector<RuntimeValue> inputs;
  for (const ValueId input : node.inputs) inputs.push_back(read(input));
  if (is_control_flow(node.kind)) {
    std::vector<RunBody> bodies;
    for (size_t i = 0; i < step.bodies.size(); ++i) {
      std::vector<RuntimeValue> captured;
      for (const ValueId capture : node.subgraphs[i].captures) captured.push_back(read(capture));
      bodies.push_back([&, i, captured = std::move(captured)](std::vector<RuntimeValue> formal) {
        RunOptions inner;
        inner.check = options.check;
        inner.gradients = options.gradients;
        inner.max_node_runs = options.max_node_runs;
        return step.bodies[i]->run_body(std::move(formal), captured, inner, node_runs_left);
      });
    }
    return call_control_flow(node, inputs, bodies);
  }
  if (options.compute)
    if (auto results = options.compute(node, inputs)) return std::move(*results);
  if (auto results = call_sequence_op(node, inputs)) return std::move(*results);
  if (auto results = call_string_op(node, inputs)) return std::move(*results);
  const bool passes_as_is =
      node.kind == OpKind::kIdentity && !inputs.empty() && !inputs[0].is_tensor();
  return passes_as_is ? inputs : call_op(node, inputs);
}

std::vector<RuntimeValue> Interpreter::run_body(std::vector<RuntimeValue> inputs,
                                                std::vector<RuntimeValue> captured,
                                                const RunOptions& options,
                                                int64_t& node_runs_left) const {
  if (inputs.size() != graph_.inputs().size() || captured.size() != graph_.captured().size())
    throw bad_input("run.inputs", fmt::format("{} inputs were given, the graph has {}",
                                              inputs.size(), graph_.inputs().size()));
  std::vector<RuntimeValue> slots(slot_count_);
  for (size_t i = 0; i < inputs.size(); ++i)
    slots[static_cast<size_t>(graph_.inputs()[i].index)] = std::move(inputs[i]);
  for (size_t i = 0; i < captured.size(); ++i)
    slots[static_cast<size_t>(graph_.captured()[i].index)] = std::move(captured[i]);
  for (const Step& step : steps_) {
    const Node& node = graph_.node(step.node);
    try {
      if (options.check) options.check();
      if (--node_runs_left < 0)
        throw over_limit(
            "limit.node_runs",
            fmt::format("more than {} node executions in one run", options.max_node_runs), {},
            "a loop of the model does not end");
      const auto start = std::chrono::steady_clock::now();
      std::vector<RuntimeValue> results = run_step(step, slots, options, node_runs_left);
      if (options.on_node) {
        const auto took = std::chrono::steady_clock::now() - start;
        options.on_node(step.node,
                        std::chrono::duration_cast<std::chrono::nanoseconds>(took).count());
      }
      for (size_t i = 0; i < node.outputs.size() && i < results.size(); ++i) {
        if (!node.outputs[i].valid()) continue;
        if (options.on_value) options.on_value(node.outputs[i], results[i]);
        slots[static_cast<size_t>(node.outputs[i].index)] = std::move(results[i]);
      }
    } catch (...) {
      rethrow_foreign(place_of(node));
    }
    for (const ValueId id : step.dying) slots[static_cast<size_t>(id.index)] = {};
  }
  std::vector<RuntimeValue> outputs;
  for (const ValueId id : graph_.outputs()) {
    const RuntimeValue& held = constant(id, options);
    outputs.push_back(held.is_absent() ? slots[static_cast<size_t>(id.index)] : held);
  }
  return outputs;
}

std::vector<RuntimeValue> Interpreter::run(std::vector<RuntimeValue> inputs,
                                           const RunOptions& options) const {
  std::optional<c10::InferenceMode> inference;
  if (!options.gradients) inference.emplace();
  int64_t node_runs_left = options.max_node_runs;
  return run_body(std::move(inputs), {}, options, node_runs_left);
}

std::vector<Tensor> Interpreter::run_tensors(const std::vector<Tensor>& inputs,
                                             const RunOptions& options) const {
  std::vector<RuntimeValue> values;
  for (const Tensor& input : inputs) values.push_back(to_runtime(input));
  std::vector<Tensor> outputs;
  for (const RuntimeValue& output : run(std::move(values), options))
    outputs.push_back(to_tensor(output));
  return outputs;
}

}  // namespace lathe
