#include "torchscript/emit/traced_flow.h"

#include <torch/csrc/jit/frontend/tracer.h>

#include <algorithm>
#include <string>

namespace lathe {
namespace {

namespace jit = torch::jit;

bool is_one_of(const jit::Node& node, const std::unordered_set<std::string>& kinds) {
  return kinds.count(node.kind().toQualString()) > 0;
}

bool makes_blank(const jit::Node& node) {
  static const std::unordered_set<std::string> kinds = {"aten::empty", "aten::empty_like",
                                                        "aten::empty_strided", "aten::new_empty",
                                                        "aten::new_empty_strided"};
  return is_one_of(node, kinds);
}

// Operators that read their tensor's shape and type, not its elements.
bool reads_no_elements(const jit::Node& node) {
  static const std::unordered_set<std::string> kinds = {
      "aten::_shape_as_tensor", "aten::size",      "aten::numel",
      "aten::zeros_like",       "aten::ones_like", "aten::full_like",
      "aten::new_zeros",        "aten::new_ones",  "aten::new_full"};
  return is_one_of(node, kinds) || makes_blank(node);
}

// Inputs that an in-place operator writes.
std::vector<const jit::Value*> written_inputs(const jit::Node& node) {
  std::vector<const jit::Value*> written;
  const c10::FunctionSchema* schema = node.maybeSchema();
  if (schema == nullptr) return written;
  for (size_t i = 0; i < schema->arguments().size() && i < node.inputs().size(); ++i) {
    const c10::AliasInfo* alias = schema->arguments()[i].alias_info();
    if (alias != nullptr && alias->isWrite()) written.push_back(node.inputs()[i]);
  }
  return written;
}

bool any_in(at::ArrayRef<const jit::Value*> values,
            const std::unordered_set<const jit::Value*>& set) {
  return std::any_of(values.begin(), values.end(),
                     [&](const jit::Value* value) { return set.count(value) > 0; });
}

// The value and, when it is a view, what it looks into: the first inputs of its producers.
std::vector<const jit::Value*> views_of(const jit::Value* value) {
  std::vector<const jit::Value*> views = {value};
  while (views.back()->node()->kind() != c10::prim::Param &&
         !views.back()->node()->inputs().empty())
    views.push_back(views.back()->node()->inputs()[0]);
  return views;
}

// The value of the trace that stands for the tensor; nullptr when there is none.
const jit::Value* traced_value(const RuntimeValue& value) {
  const auto state = jit::tracer::getTracingState();
  if (!value.is_tensor() || !state->hasValue(*value.tensor)) return nullptr;
  return state->getValue(*value.tensor);
}

}  // namespace

TracedFlow::TracedFlow(jit::Graph& graph)
    : graph_(graph), last_(graph.param_node()), before_step_(last_) {
  const auto inputs = graph.inputs();
  // The first is the module.
  for (size_t i = 1; i < inputs.size(); ++i) varying_.insert(inputs[i]);
  follow_new_nodes();
}

void TracedFlow::spread(const jit::Node& node, Values& set) const {
  if (reads_no_elements(node) || !any_in(node.inputs(), set)) return;
  for (const jit::Value* output : node.outputs()) set.insert(output);
  for (const jit::Value* target : written_inputs(node))
    for (const jit::Value* viewed : views_of(target)) set.insert(viewed);
}

void TracedFlow::follow_blank(const jit::Node& node) {
  for (const jit::Value* target : written_inputs(node))
    for (const jit::Value* viewed : views_of(target)) blank_.erase(viewed);
  const bool blank =
      makes_blank(node) || (!reads_no_elements(node) && any_in(node.inputs(), blank_));
  if (!blank) return;
  for (const jit::Value* output : node.outputs()) blank_.insert(output);
}

void TracedFlow::follow_new_nodes() {
  before_step_ = last_;
  for (jit::Node* node = last_->next(); node != graph_.return_node(); node = node->next()) {
    last_ = node;
    spread(*node, varying_);
    follow_blank(*node);
  }
}

bool TracedFlow::varies(const RuntimeValue& value) const {
  const jit::Value* traced = traced_value(value);
  return traced != nullptr && varying_.count(traced) > 0;
}

bool TracedFlow::is_blank(const RuntimeValue& value) const {
  const jit::Value* traced = traced_value(value);
  return traced != nullptr && blank_.count(traced) > 0;
}

bool TracedFlow::reaches(const RuntimeValue& operand,
                         const std::vector<RuntimeValue>& results) const {
  Values reached = {traced_value(operand)};
  for (const jit::Node* node = before_step_; node != last_;) {
    node = node->next();
    spread(*node, reached);
  }
  return std::any_of(results.begin(), results.end(), [&](const RuntimeValue& result) {
    const jit::Value* traced = traced_value(result);
    return traced != nullptr && reached.count(traced) > 0;
  });
}

bool may_ignore_elements(OpKind kind, size_t input) {
  switch (kind) {
    case OpKind::kShape:
    case OpKind::kSize:
    case OpKind::kEyeLike: return true;
    case OpKind::kCastLike:                   // type
    case OpKind::kDropout:                    // ratio
    case OpKind::kResize: return input == 1;  // region of interest
    default: return false;
  }
}

}  // namespace lathe
