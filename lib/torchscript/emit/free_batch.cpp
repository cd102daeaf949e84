#include "torchscript/emit/free_batch.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/jit/ir/constants.h>

#include <map>
#include <unordered_map>
#include <vector>

#include "ir/error.h"
#include "torchscript/emit/trace_module.h"

namespace lathe {
namespace {

namespace jit = torch::jit;

struct Line {
  int64_t slope = 0;
  int64_t offset = 0;
  auto operator<=>(const Line&) const = default;
};

struct VaryingConstant {
  jit::Value* value;
  Line line;
};

std::string node_text(jit::Node& node) {
  const std::string name = traced_from(node);
  return name.empty() ? std::string() : fmt::format(" of node {}", escape_untrusted(name));
}

bool same_tensor(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.is_same(b)) return true;
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && at::equal(a, b);
}

bool same_constant(const c10::IValue& a, const c10::IValue& b) {
  if (a.isTensor() && b.isTensor()) return same_tensor(a.toTensor(), b.toTensor());
  // NaN is a constant like any other.
  if (a.isDouble() && b.isDouble())
    return a.toDouble() == b.toDouble() ||
           (a.toDouble() != a.toDouble() && b.toDouble() != b.toDouble());
  return a.tagKind() == b.tagKind() && a == b;
}

class Comparison {
 public:
  Comparison(const BatchTrace& kept, const BatchTrace& other) : kept_(kept), other_(other) {}

  // "" when the graphs have one structure.
  std::string run() {
    if (!pair_up(kept_.graph.inputs(), other_.graph.inputs())) return "the arguments differ";
    auto b = other_.graph.nodes().begin();
    for (jit::Node* a : kept_.graph.nodes()) {
      if (b == other_.graph.nodes().end()) return differs(*a);
      std::string reason = compare(*a, **b);
      if (!reason.empty()) return reason;
      ++b;
    }
    if (b != other_.graph.nodes().end()) return differs(**b);
    return is_paired(kept_.graph.outputs(), other_.graph.outputs()) ? "" : "the outputs differ";
  }

  const std::vector<VaryingConstant>& constants() const { return constants_; }

 private:
  std::string differs(jit::Node& node) const {
    return fmt::format("what is computed{} depends on the batch size", node_text(node));
  }

  bool pair_up(at::ArrayRef<jit::Value*> a, at::ArrayRef<jit::Value*> b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) partner_[a[i]] = b[i];
    return true;
  }

  bool is_paired(at::ArrayRef<jit::Value*> a, at::ArrayRef<jit::Value*> b) const {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
      const auto found = partner_.find(a[i]);
      if (found == partner_.end() || found->second != b[i]) return false;
    }
    return true;
  }

  std::string compare(jit::Node& a, jit::Node& b) {
    const bool same = a.kind() == b.kind() && a.blocks().empty() && b.blocks().empty() &&
                      is_paired(a.inputs(), b.inputs()) && pair_up(a.outputs(), b.outputs());
    if (!same) return differs(a);
    if (a.kind() == c10::prim::GetAttr)
      return a.s(c10::attr::name) == b.s(c10::attr::name) ? "" : differs(a);
    if (a.kind() != c10::prim::Constant) return {};
    const auto left = jit::toIValue(a.output());
    const auto right = jit::toIValue(b.output());
    if (!left || !right) return differs(a);
    if (left->isInt() && right->isInt() && left->toInt() != right->toInt()) {
      const int64_t step = right->toInt() - left->toInt();
      const int64_t batches = other_.batch - kept_.batch;
      if (step % batches != 0) return differs(a);
      const int64_t slope = step / batches;
      constants_.push_back({a.output(), {slope, left->toInt() - slope * kept_.batch}});
      return {};
    }
    if (same_constant(*left, *right)) return {};
    return fmt::format("a constant{} depends on the batch size", node_text(a));
  }

  const BatchTrace& kept_;
  const BatchTrace& other_;
  std::unordered_map<const jit::Value*, const jit::Value*> partner_;
  std::vector<VaryingConstant> constants_;
};

}  // namespace

std::string free_batch(const BatchTrace& kept, const BatchTrace& other, const BatchSource& source) {
  Comparison comparison(kept, other);
  std::string reason = comparison.run();
  if (!reason.empty() || comparison.constants().empty()) return reason;
  jit::Graph& graph = kept.graph;
  const jit::WithInsertPoint at_top(*graph.nodes().begin());
  jit::Value* batch =
      graph.insert(c10::aten::size, {graph.inputs()[source.argument + 1], source.axis});
  std::map<Line, jit::Value*> expressions;
  for (const VaryingConstant& constant : comparison.constants()) {
    auto [found, is_new] = expressions.try_emplace(constant.line, batch);
    if (is_new) {
      const auto [slope, offset] = constant.line;
      if (slope != 1) found->second = graph.insert(c10::aten::mul, {found->second, slope});
      if (offset != 0) found->second = graph.insert(c10::aten::add, {found->second, offset});
    }
    constant.value->replaceAllUsesWith(found->second);
    constant.value->node()->destroy();
  }
  return {};
}

}  // namespace lathe
