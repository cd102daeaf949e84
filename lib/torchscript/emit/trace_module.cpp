#include "torchscript/emit/trace_module.h"

#include <ATen/TracerMode.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/shape_analysis.h>

#include <algorithm>
#include <set>

#include "evaluate/evaluate.h"
#include "ir/error.h"
#include "ops/op_row.h"
#include "run/constant_value.h"
#include "run/control_flow.h"
#include "run/foreign_errors.h"
#include "run/node_call.h"
#include "run/string_ops.h"
#include "torchscript/emit/traced_flow.h"

namespace lathe {
namespace {

namespace jit = torch::jit;

Error refusal(const Node& node, const std::string& why, const std::string& hint) {
  return bad_input(
      "torchscript.op",
      fmt::format("{} cannot become TorchScript: {}", escape_untrusted(node.type_name()), why),
      place_of(node), hint);
}

const char* const kKeepOnnx = "--target onnx keeps it";

bool draws_random_numbers(const Graph& graph, const Node& node) {
  if (!op_row(node.kind).random) return false;
  if (node.kind != OpKind::kDropout) return true;
  if (!node.input(2).valid()) return false;
  const Tensor* training = graph.constant(node.input(2));
  return training == nullptr || training->to_int64() != std::vector<int64_t>{0};
}

void require_node(const Graph& graph, const Node& node) {
  if (is_control_flow(node.kind))
    throw refusal(node, "what runs is decided by values, and a trace holds one path",
                  "fix the sizes that its condition depends on with --input-shape, so that the "
                  "branch is chosen now; or --target onnx");
  if (is_sequence_op(node.kind)) throw refusal(node, "it handles sequences", kKeepOnnx);
  if (is_string_op(node.kind)) throw refusal(node, "it handles strings", kKeepOnnx);
  if (evaluate_function(node.kind) == nullptr)
    throw refusal(node, "lathe does not know what it computes", kKeepOnnx);
  if (draws_random_numbers(graph, node))
    throw refusal(node, "its random numbers would become constants", kKeepOnnx);
}

// Names that Python's parser or TorchScript's printer would not take are rewritten.
std::vector<std::string> argument_names(const Graph& graph) {
  static const std::set<std::string> reserved = {
      "False",     "None",     "True",         "and",   "as",     "assert", "async",  "await",
      "break",     "class",    "def",          "del",   "elif",   "else",   "except", "finally",
      "for",       "from",     "global",       "if",    "import", "in",     "is",     "lambda",
      "nonlocal",  "not",      "or",           "pass",  "raise",  "return", "self",   "try",
      "while",     "with",     "yield",        "torch", "ops",    "int",    "float",  "bool",
      "CONSTANTS", "annotate", "uninitialized"};
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (const ValueId id : graph.inputs()) {
    std::string name = graph.value(id).name.substr(0, 100);
    for (char& c : name) {
      const bool plain =
          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
      if (!plain) c = '_';
    }
    if (name.empty() || (name[0] >= '0' && name[0] <= '9')) name.insert(0, "input_");
    if (reserved.count(name) > 0) name += '_';
    const std::string stem = name;
    for (int i = 1; !taken.insert(name).second; ++i) name = fmt::format("{}_{}", stem, i);
    names.push_back(name);
  }
  return names;
}

}  // namespace

void require_traceable(const Graph& graph) {
  const auto check = [&](ValueId id, const char* role) {
    const ValueType& type = graph.value(id).type;
    if (!type.is_tensor() || type.dtype == DType::kString)
      throw bad_input("torchscript.type",
                      fmt::format("a TorchScript artifact takes and gives tensors of numbers"),
                      fmt::format("{} {}", role, escape_untrusted(graph.value(id).name)),
                      kKeepOnnx);
  };
  for (const ValueId id : graph.inputs()) check(id, "input");
  for (const ValueId id : graph.outputs()) check(id, "output");
  for (const NodeId id : graph.order()) require_node(graph, graph.node(id));
}

std::string traced_from(jit::Node& node) {
  const jit::ScopePtr scope = node.scope();
  return !scope || scope->isBlank() || scope->isRoot() ? std::string()
                                                       : scope->name().toUnqualString();
}

GraphTracer::GraphTracer(const Graph& graph, const QuantizedPlan* plan)
    : graph_(graph), self_("__torch__.Network") {
  require_traceable(graph);
  size_t slots = 0;
  for (const ValueId id : graph.value_ids())
    slots = std::max(slots, static_cast<size_t>(id.index) + 1);
  constants_.resize(slots);
  for (const ValueId id : graph.value_ids()) {
    const Tensor* constant = graph.constant(id);
    if (constant != nullptr && constant->dtype() != DType::kString)
      constants_[static_cast<size_t>(id.index)] = to_runtime(*constant);
  }
  std::set<NodeId> packed;
  if (plan != nullptr) packed.insert(plan->packed.begin(), plan->packed.end());
  std::set<ValueId> read(graph.outputs().begin(), graph.outputs().end());
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (packed.count(id) > 0 || hold_dequantized(node, constants_)) continue;
    steps_.push_back(id);
    read.insert(node.inputs.begin(), node.inputs.end());
  }
  self_.register_attribute("training", c10::BoolType::get(), false);
  for (size_t i = 0; i < slots; ++i)
    if (constants_[i].is_tensor() && read.count({static_cast<int32_t>(i)}) > 0)
      self_.register_buffer(fmt::format("c{}", i), constants_[i].tensor);
  if (plan == nullptr) return;
  quantized_.emplace(graph, *plan);
  quantized_->add_to(self_);
}

std::vector<RuntimeValue> GraphTracer::run_node(NodeId id,
                                                std::vector<RuntimeValue>& operands) const {
  const Node& node = graph_.node(id);
  try {
    if (quantized_)
      if (auto results = quantized_->run(id, operands)) return std::move(*results);
    return call_op(node, operands);
  } catch (...) {
    rethrow_foreign(place_of(node));
  }
}

std::vector<RuntimeValue> GraphTracer::run_nodes(const std::vector<RuntimeValue>& inputs) const {
  const auto state = jit::tracer::getTracingState();
  const jit::ScopePtr root = state->graph->current_scope();
  TracedFlow flow(*state->graph);
  const auto varies = [&](const RuntimeValue& value) { return flow.varies(value); };
  std::vector<RuntimeValue> slots = constants_;
  for (size_t i = 0; i < inputs.size(); ++i)
    slots[static_cast<size_t>(graph_.inputs()[i].index)] = inputs[i];
  for (const NodeId id : steps_) {
    const Node& node = graph_.node(id);
    state->graph->set_current_scope(root->push(c10::Symbol::scope(node.name)));
    std::vector<RuntimeValue> operands;
    for (const ValueId input : node.inputs)
      operands.push_back(input.valid() ? slots[static_cast<size_t>(input.index)] : RuntimeValue{});
    const bool varying = std::any_of(operands.begin(), operands.end(), varies);
    std::vector<RuntimeValue> results = run_node(id, operands);
    flow.follow_new_nodes();
    for (size_t i = 0; i < operands.size(); ++i)
      if (varies(operands[i]) && !may_ignore_elements(node.kind, i) &&
          !flow.reaches(operands[i], results))
        throw refusal(node,
                      fmt::format("the values of its input {} ({}) would become constants", i,
                                  escape_untrusted(graph_.value(node.inputs[i]).name)),
                      kKeepOnnx);
    for (RuntimeValue& result : results) {
      const bool blank = flow.is_blank(result);
      if (blank && varying)
        throw refusal(node, "it is computed outside of LibTorch's operators", kKeepOnnx);
      if (!blank) continue;
      // What follows from sizes alone is a constant of this trace.
      const at::tracer::impl::NoTracerDispatchMode untraced;
      result.tensor = result.tensor->clone();
    }
    for (size_t i = 0; i < node.outputs.size() && i < results.size(); ++i)
      if (node.outputs[i].valid())
        slots[static_cast<size_t>(node.outputs[i].index)] = std::move(results[i]);
  }
  state->graph->set_current_scope(root);
  std::vector<RuntimeValue> outputs;
  for (const ValueId id : graph_.outputs()) {
    RuntimeValue& value =
        outputs.emplace_back(QuantizedNodes::as_output(slots[static_cast<size_t>(id.index)]));
    // The tracer wants an operator behind an output, not an argument or a constant.
    if (!graph_.value(id).producer.valid() || !state->hasValue(*value.tensor))
      value.tensor = value.tensor->clone();
  }
  return outputs;
}

std::shared_ptr<jit::Graph> GraphTracer::trace(const std::vector<RuntimeValue>& inputs) const {
  if (inputs.size() != graph_.inputs().size())
    throw bad_input("run.inputs", fmt::format("{} inputs were given, the graph has {}",
                                              inputs.size(), graph_.inputs().size()));
  const at::NoGradGuard no_gradients;
  jit::Stack arguments;
  // The tracer knows tensors by identity, so one that is given twice must become two.
  for (const RuntimeValue& input : inputs) arguments.emplace_back(input.tensor->alias());
  const auto run = [&](const jit::Stack& traced) {
    std::vector<RuntimeValue> values;
    for (size_t i = 0; i < traced.size(); ++i)
      values.emplace_back(traced[i].toTensor(), inputs[i].dtype);
    std::vector<c10::IValue> outputs;
    for (const RuntimeValue& value : run_nodes(values)) outputs.emplace_back(value.tensor);
    jit::Stack results;
    if (outputs.size() == 1)
      results = std::move(outputs);
    else
      results.emplace_back(c10::ivalue::Tuple::create(std::move(outputs)));
    return results;
  };
  jit::Module self = self_;
  std::shared_ptr<jit::Graph> record;
  try {
    record = jit::tracer::trace(
                 std::move(arguments), run, [](const at::Tensor&) { return std::string(); },
                 /*strict=*/true, /*force_outplace=*/false, &self, argument_names(graph_))
                 .first->graph;
  } catch (...) {
    rethrow_foreign("");
  }
  // The sizes that values had here are no promise, and optimizations would take them for one.
  jit::EraseShapeInformation(record);
  jit::EliminateDeadCode(record);
  return record;
}

jit::Module GraphTracer::module_of(const std::shared_ptr<jit::Graph>& record) {
  if (self_.find_method("forward"))
    throw InternalError("GraphTracer::module_of: the module has its forward");
  self_.type()->addMethod(self_._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*self_.type()->name(), "forward"), record));
  return self_;
}

}  // namespace lathe
