// Elementwise ops of floats: chains and trees of them become one step.
#include <map>

#include "ir/enumerator_name.h"
#include "lower/integer_product_step.h"
#include "lower/lowering.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

constexpr size_t kMostInputs = 6;
constexpr size_t kMostOps = 24;

// Of truths, which are 1 and 0 while they are computed.
std::optional<ElementwiseOp> logical_op(OpKind kind) {
  ElementwiseOp op;
  switch (kind) {
    case OpKind::kAnd: op.kind = ElementwiseKind::kMul; return op;
    case OpKind::kOr: op.kind = ElementwiseKind::kMax; return op;
    case OpKind::kNot:
      op.kind = ElementwiseKind::kHardSigmoid;
      op.p = -1;
      op.q = 1;
      return op;
    default: return std::nullopt;
  }
}

// The op that a node is; a node of more than two inputs is several of them.
std::optional<ElementwiseOp> op_of(const Graph& graph, const Node& node) {
  if (const auto logical = logical_op(node.kind)) return logical;
  std::optional<ActivationForm> form{{node.kind, parameter_of(node, 0), parameter_of(node, 1)}};
  if (op_row(node.kind).fusable) form = activation_form(graph, node);
  if (!form || (node.kind == OpKind::kSwish && form->alpha != 1)) return std::nullopt;
  const std::string_view name = node.kind == OpKind::kSum ? "Add" : kernel_name(*form);
  const auto kind = enumerator<ElementwiseKind, kElementwiseKinds>(name);
  if (!kind) return std::nullopt;
  ElementwiseOp op{*kind};
  if (node.kind == OpKind::kSwish || node.kind == OpKind::kGelu) return op;  // the kind says it
  op.p = finite_bound(form->alpha);
  op.q = finite_bound(form->beta);
  return op;
}

bool is_float_or_truth(const Lowering& lowering, ValueId id) {
  return lowering.is_float(id) || lowering.graph.value(id).type.dtype == DType::kBool;
}

bool is_lowered(const Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  if (node.outputs.size() != 1 || !is_float_or_truth(lowering, node.outputs[0]) ||
      !lowering.shape(node.outputs[0]))
    return false;
  for (const ValueId input : node.inputs)
    if (input.valid() && (!is_float_or_truth(lowering, input) || !lowering.shape(input)))
      return node.kind == OpKind::kClip && lowering.is_float(node.input(0)) &&
             clamp_of(graph, node).has_value() && lowering.shape(node.input(0));
  return !node.inputs.empty() && node.inputs.size() <= kMostInputs && op_of(graph, node);
}

/// A tree of ops while it is gathered. Registers of inputs come first, so ops count from their own
/// zero until all inputs are known.
struct Tree {
  std::vector<ViewId> inputs;
  std::vector<ElementwiseOp> ops;
  std::vector<NodeId> nodes;
  std::map<ValueId, int> registers;  // negative: op ~register; else input
};

struct TreeSize {
  size_t inputs = 0;
  size_t ops = 0;
};

TreeSize tree_size(const Lowering& lowering, NodeId id);

/// Of a value: what it adds to a tree that reads it.
TreeSize tree_size(const Lowering& lowering, ValueId id) {
  return lowering.is_deferred(id) ? tree_size(lowering, lowering.graph.value(id).producer)
                                  : TreeSize{1, 0};
}

/// Of the tree that would be gathered from `id` on, if it were deferred.
TreeSize tree_size(const Lowering& lowering, NodeId id) {
  TreeSize size;
  for (const ValueId input : lowering.graph.node(id).inputs) {
    if (!input.valid()) continue;
    const TreeSize below = tree_size(lowering, input);
    size.inputs += below.inputs;
    size.ops += below.ops + 1;
  }
  return size;
}

class Gatherer {
 public:
  Gatherer(Lowering& lowering, const Shape& shape) : lowering_(lowering), shape_(shape) {}

  int value(ValueId id) {
    if (const auto found = tree.registers.find(id); found != tree.registers.end())
      return found->second;
    int place = 0;
    if (lowering_.is_deferred(id) && lowering_.shape(id) == shape_ && !lowering_.has_real(id) &&
        tree.inputs.size() + waiting_ + tree_size(lowering_, id).inputs <= kMostInputs) {
      place = node(lowering_.graph.value(id).producer);
    } else {
      if (lowering_.is_deferred(id) && !lowering_.has_real(id))
        lower_tree(lowering_, lowering_.graph.value(id).producer);
      // Read as integers only where nobody has made floats of them.
      const ViewId integers = lowering_.has_real(id) ? ViewId{} : lowering_.integers(id);
      const ViewId view = integers.valid() ? integers : lowering_.real(id);
      tree.inputs.push_back(view);
      place = static_cast<int>(tree.inputs.size() - 1);
    }
    tree.registers[id] = place;
    return place;
  }

  int node(NodeId id) {
    const Node& node = lowering_.graph.node(id);
    tree.nodes.push_back(id);
    const ElementwiseOp op = *op_of(lowering_.graph, node);
    if (operands_of(op.kind) == 1) return add(op, {value(node.inputs[0])});
    waiting_ += node.inputs.size() - 1;
    int result = value(node.inputs[0]);
    if (operands_of(op.kind) == 3) {
      --waiting_;
      const int second = value(node.inputs[1]);
      --waiting_;
      return add(op, {result, second, value(node.inputs[2])});
    }
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      --waiting_;
      result = add(op, {result, value(node.inputs[i])});
    }
    return result;
  }

  static void lower_tree(Lowering& lowering, NodeId id);

  Tree tree;

 private:
  int add(ElementwiseOp op, std::vector<int> operands) {
    // ~register marks results of ops until finish().
    op.a = static_cast<int16_t>(operands[0]);
    op.b = static_cast<int16_t>(operands.size() > 1 ? operands[1] : operands[0]);
    op.c = static_cast<int16_t>(operands.size() > 2 ? operands[2] : operands[0]);
    tree.ops.push_back(op);
    return ~static_cast<int>(tree.ops.size() - 1);
  }

  Lowering& lowering_;
  Shape shape_;
  size_t waiting_ = 0;  // operands of unfinished nodes that come after the one at hand
};

void finish_registers(Tree& tree) {
  const auto inputs = static_cast<int>(tree.inputs.size());
  const auto settle = [&](int16_t& place) {
    if (place < 0) place = static_cast<int16_t>(inputs + ~place);
  };
  for (ElementwiseOp& op : tree.ops) {
    settle(op.a);
    settle(op.b);
    settle(op.c);
  }
}

void Gatherer::lower_tree(Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  ValueId value = graph.node(id).outputs[0];
  const Shape shape = *lowering.shape(value);
  Gatherer gatherer(lowering, shape);
  gatherer.node(id);
  Tree& tree = gatherer.tree;
  PlanBuilder& build = lowering.build;
  finish_registers(tree);
  std::vector<int64_t> order = plain_order(shape.size());
  for (ViewId& input : tree.inputs) {
    // As the first input of the output's shape lies in memory.
    if (build.view(input).shape == shape && &input == &tree.inputs.front())
      order = memory_order(build.view(input));
  }
  for (ViewId& input : tree.inputs)
    if (build.view(input).shape == shape && build.block_of(input).place == BlockPlace::kArena) {
      order = memory_order(build.view(input));
      break;
    }
  for (ViewId& input : tree.inputs)
    if (build.view(input).shape != shape) input = build.expanded(input, shape);
  std::optional<ScaleZeroPoint> params;
  std::vector<NodeId> nodes = tree.nodes;
  if (const auto tail = lowering.roots.root_behind(graph, value)) {
    value = tail->integers;
    params = lowering.roots.quantized(value)->params;
    nodes.push_back(tail->quantize);
  }
  ElementwiseProgramStep step;
  step.inputs = tree.inputs;
  step.program = tree.ops;
  step.output = lowering.add_output(value, shape, order, params, graph.value(value).type.dtype);
  lowering.add_step(nodes, std::move(step));
}

/// The only reader is another op of the same elements.
bool can_wait(const Lowering& lowering, NodeId id) {
  const Graph& graph = lowering.graph;
  const ValueId output = graph.node(id).outputs[0];
  const auto user = graph.single_user(output);
  const TreeSize size = tree_size(lowering, id);
  return user && !lowering.roots.is_function(*user) && is_lowered(lowering, *user) &&
         lowering.shape(graph.node(*user).outputs[0]) == lowering.shape(output) &&
         size.inputs < kMostInputs && size.ops < kMostOps;
}

}  // namespace

bool lower_elementwise(Lowering& lowering, NodeId id) {
  if (!is_lowered(lowering, id)) return false;
  if (lowering.shape(lowering.graph.node(id).outputs[0])->size() > 8) return false;
  if (can_wait(lowering, id))
    lowering.defer(id);
  else
    Gatherer::lower_tree(lowering, id);
  return true;
}

}  // namespace lathe
