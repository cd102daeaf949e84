#include "torchscript/child/describe_module.h"

#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/passes/inline_fork_wait.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/passes/lower_tuples.h>
#include <torch/csrc/jit/passes/peephole.h>
#include <torch/csrc/jit/passes/remove_mutation.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "ir/error.h"
#include "torchscript/child/describe_constant.h"
#include "torchscript/read/description_format.h"

namespace lathe {
namespace {

namespace jit = torch::jit;

std::string source_of(const jit::Node& node) {
  const auto place = node.sourceRange().file_line_col();
  if (!place || std::get<0>(*place).empty()) return {};
  return std::get<0>(*place) + ":" + std::to_string(std::get<1>(*place));
}

class Describer {
 public:
  TorchModule describe(const jit::Module& module, const jit::Graph& graph) {
    for (const torch::jit::Method& method : module.get_methods())
      if (method.name() != "forward" && !method.name().starts_with("__"))
        out_.other_methods.push_back(method.name());
    std::sort(out_.other_methods.begin(), out_.other_methods.end());
    describe_attributes(module._ivalue(), "", 0);
    out_.forward = block(*graph.block(), 0);
    mark_dynamic(out_.forward);
    return std::move(out_);
  }

 private:
  TorchValueId define(const jit::Value* value) {
    budget_.charge();
    const auto id = static_cast<TorchValueId>(out_.values.size());
    ids_.emplace(value, id);
    out_.values.push_back({value->debugName(), describe_type(*value->type())});
    return id;
  }

  TorchValueId use(const jit::Value* value) const { return ids_.at(value); }

  TorchBlock block(const jit::Block& from, int depth) {
    if (depth > kMaxDescriptionDepth)
      throw over_limit("torchscript.depth", "conditions and loops are nested too deeply");
    TorchBlock to;
    for (const jit::Value* input : from.inputs()) to.inputs.push_back(define(input));
    for (const jit::Node* inner : from.nodes()) to.nodes.push_back(node(*inner, depth));
    for (const jit::Value* output : from.outputs()) to.outputs.push_back(use(output));
    return to;
  }

  TorchNode node(const jit::Node& from, int depth) {
    budget_.charge();
    TorchNode to;
    to.kind = from.kind().toQualString();
    to.source = source_of(from);
    if (const auto* schema = from.maybeSchema()) to.overload = schema->overload_name();
    for (const jit::Value* input : from.inputs()) to.inputs.push_back(use(input));
    for (const jit::Block* inner : from.blocks()) to.blocks.push_back(block(*inner, depth + 1));
    for (const jit::Value* output : from.outputs()) to.outputs.push_back(define(output));
    const std::string where = to.source.empty() ? to.kind : to.source;
    if (from.kind() == c10::prim::Constant) {
      const auto value = torch::jit::toIValue(from.output());
      if (!value) throw bad_input("torchscript.value", "a constant cannot be read", where);
      to.constant = describe_constant(*value, object_path(*value), where, budget_);
      // A function or an enumeration is no object with attributes.
      if (to.constant->kind == TorchConstant::Kind::kObject && to.constant->text.empty())
        throw bad_input("torchscript.value", "a constant object cannot be read", where);
    } else if (from.kind() == c10::prim::GetAttr || from.kind() == c10::prim::SetAttr) {
      to.attribute = from.s(c10::attr::name);
    } else if (from.hasAttribute(c10::attr::Subgraph) || from.kind() == c10::prim::CallMethod ||
               from.kind() == c10::prim::CallFunction) {
      throw bad_input("torchscript.call",
                      "a call by " + to.kind + " cannot be resolved before the code runs", where,
                      "interfaces, fork and recursion have no form in a graph");
    }
    return to;
  }

  // An object that freezing made a constant has its attributes described like the module's.
  std::string object_path(const c10::IValue& value) {
    if (!value.isObject()) return {};
    const auto object = value.toObject();
    const auto found = objects_.find(object.get());
    if (found != objects_.end()) return found->second;
    if (!object->type()->is_module() && object->type()->name() &&
        object->type()->name()->qualifiedName().starts_with("__torch__.torch.classes."))
      return {};
    const std::string path = "#" + std::to_string(objects_.size());
    describe_attributes(object, path, 0);
    return path;
  }

  void describe_attributes(const c10::intrusive_ptr<c10::ivalue::Object>& object,
                           const std::string& path, int depth) {
    if (depth > kMaxDescriptionDepth)
      throw over_limit("torchscript.depth", "objects are nested too deeply", path);
    if (!objects_.emplace(object.get(), path).second) return;
    const auto type = object->type();
    for (size_t slot = 0; slot < type->numAttributes(); ++slot) {
      const std::string inner =
          path.empty() ? type->getAttributeName(slot) : path + "." + type->getAttributeName(slot);
      const c10::IValue& value = object->getSlot(slot);
      const bool custom = value.isObject() && value.toObjectRef().type()->name() &&
                          value.toObjectRef().type()->name()->qualifiedName().starts_with(
                              "__torch__.torch.classes.");
      if (value.isObject() && !custom) {
        const auto known = objects_.find(value.toObject().get());
        // Two names for one object: the second is an attribute that names the first.
        if (known == objects_.end()) {
          describe_attributes(value.toObject(), inner, depth + 1);
          continue;
        }
        out_.attributes.push_back({inner, describe_type(*type->getAttribute(slot)),
                                   describe_constant(value, known->second, inner, budget_)});
        continue;
      }
      out_.attributes.push_back({inner, describe_type(*type->getAttribute(slot)),
                                 describe_constant(value, inner, inner, budget_)});
    }
  }

  // Packed weights do not say whether they are for the dynamic ops; their users do.
  void mark_dynamic(TorchBlock& top) {
    std::set<TorchValueId> used;
    std::set<std::string> attributes;
    collect_dynamic(top, used);
    mark(top, used, attributes);
    for (TorchAttribute& attribute : out_.attributes) {
      const size_t dot = attribute.path.rfind('.');
      const std::string name =
          dot == std::string::npos ? attribute.path : attribute.path.substr(dot + 1);
      if (attribute.value.packed && attributes.contains(name))
        attribute.value.packed->dynamic = true;
    }
  }
  static void collect_dynamic(const TorchBlock& in, std::set<TorchValueId>& used) {
    for (const TorchNode& node : in.nodes) {
      if (node.kind.starts_with("quantized::") && node.kind.find("_dynamic") != std::string::npos)
        used.insert(node.inputs.begin(), node.inputs.end());
      for (const TorchBlock& inner : node.blocks) collect_dynamic(inner, used);
    }
  }
  static void mark(TorchBlock& in, const std::set<TorchValueId>& used,
                   std::set<std::string>& attributes) {
    for (TorchNode& node : in.nodes) {
      if (node.outputs.size() == 1 && used.contains(node.outputs[0])) {
        if (node.constant && node.constant->packed) node.constant->packed->dynamic = true;
        if (node.kind == "prim::GetAttr") attributes.insert(node.attribute);
      }
      for (TorchBlock& inner : node.blocks) mark(inner, used, attributes);
    }
  }

  TorchModule out_;
  DescriptionBudget budget_;
  std::unordered_map<const jit::Value*, TorchValueId> ids_;
  std::unordered_map<const c10::ivalue::Object*, std::string> objects_;
};

// A pass that fails leaves the graph as it was, or the graph with less done: both are valid.
template <class Pass>
void attempt(const Pass& pass) {
  try {
    pass();
  } catch (const c10::Error&) {
    return;
  }
}

// Freezing copies the module, and copying runs __setstate__ a second time: harmless for PyTorch's
// packed weights, not for what a user wrote.
bool has_own_setstate(const jit::Module& module) {
  for (const jit::Module& inner : module.modules()) {
    const auto& name = inner.type()->name();
    const bool of_torch = name && name->qualifiedName().starts_with("__torch__.torch.");
    if (!of_torch && inner.find_method("__setstate__")) return true;
  }
  return false;
}

jit::Module frozen(const jit::Module& module) {
  if (has_own_setstate(module)) return module;
  try {
    return torch::jit::freeze_module(module);
  } catch (const c10::Error&) {
    return module;
  }
}

}  // namespace

TorchModule describe_module(jit::Module module) {
  if (!module.find_method("forward")) {
    if (module.find_method("forward__0"))
      throw bad_input("torchscript.no_forward", "the module's forward has several overloads", {},
                      "wrap the module in one whose forward calls it, and save that");
    std::string names;
    for (const torch::jit::Method& method : module.get_methods())
      names += (names.empty() ? "" : ", ") + method.name();
    throw bad_input("torchscript.no_forward",
                    "the module has no method forward" +
                        (names.empty() ? std::string() : "; its methods: " + names),
                    {}, "call the method that computes the outputs from forward and save again");
  }
  // Frozen modules have no such attribute, and is_training() would say yes.
  const bool was_training = module.hasattr("training") && module.is_training();
  module.eval();
  const jit::Module ready = frozen(module);
  std::shared_ptr<jit::Graph> graph = ready.get_method("forward").graph();
  torch::jit::Inline(*graph);
  attempt([&] { torch::jit::InlineForkWait(graph); });
  attempt([&] { torch::jit::LowerSimpleTuples(graph); });
  // Values that are not written in place are easier to follow.
  attempt([&] { torch::jit::RemoveListMutation(graph); });
  attempt([&] { torch::jit::RemoveTensorMutation(graph); });
  attempt([&] { torch::jit::ConstantPropagationImmutableTypes(graph); });
  attempt([&] { torch::jit::PeepholeOptimize(graph); });
  attempt([&] { torch::jit::LowerSimpleTuples(graph); });
  torch::jit::EliminateDeadCode(graph);
  TorchModule out = Describer().describe(ready, *graph);
  out.was_training = was_training;
  // Freezing copies the class under another name.
  if (const auto& name = module.type()->name()) out.class_name = name->qualifiedName();
  return out;
}

}  // namespace lathe
