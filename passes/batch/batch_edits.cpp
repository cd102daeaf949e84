#include "batch/batch_edits.h"

#include <algorithm>

namespace lathe {
namespace {

class Inserter {
 public:
  Inserter(Graph& graph, std::string base) : graph_(graph), base_(std::move(base)) {}

  ValueId constant(const char* suffix, Tensor tensor) {
    return graph_.add_constant(graph_.fresh_name(base_ + suffix), std::move(tensor));
  }
  ValueId node(OpKind kind, std::vector<ValueId> inputs, const char* suffix,
               Attributes attributes = {}) {
    const std::string name = graph_.fresh_name(base_ + suffix);
    const ValueId output = graph_.add_op(kind, std::move(inputs), name, std::move(attributes));
    added.push_back(graph_.value(output).producer);
    return output;
  }

  std::vector<NodeId> added;

 private:
  Graph& graph_;
  std::string base_;
};

// The number of items, a vector of one element.
ValueId batch_count(Inserter& insert, const BatchEdit& edit) {
  const ValueId shape = insert.node(OpKind::kShape, {edit.source}, "_shape");
  Attributes axis;
  axis.set("axis", int64_t{0});
  const ValueId at = insert.constant("_axis", Tensor::vector<int64_t>({edit.source_axis}));
  ValueId count = insert.node(OpKind::kGather, {shape, at}, "_batch", std::move(axis));
  if (edit.divisor != 1) {
    const ValueId by = insert.constant("_parts", Tensor::vector<int64_t>({edit.divisor}));
    count = insert.node(OpKind::kDiv, {count, by}, "_items");
  }
  if (edit.factor != 1) {
    const ValueId by = insert.constant("_factor", Tensor::vector<int64_t>({edit.factor}));
    count = insert.node(OpKind::kMul, {count, by}, "_rows");
  }
  return count;
}

// A shape with the batch in one element.
ValueId with_batch(Inserter& insert, const BatchEdit& edit, const std::vector<int64_t>& sizes) {
  const auto at = static_cast<size_t>(edit.axis);
  std::vector<ValueId> parts;
  if (at > 0)
    parts.push_back(insert.constant(
        "_before", Tensor::vector(std::vector<int64_t>(sizes.begin(), sizes.begin() + edit.axis))));
  parts.push_back(batch_count(insert, edit));
  if (at + 1 < sizes.size())
    parts.push_back(insert.constant("_after", Tensor::vector(std::vector<int64_t>(
                                                  sizes.begin() + edit.axis + 1, sizes.end()))));
  if (parts.size() == 1) return parts[0];
  Attributes axis;
  axis.set("axis", int64_t{0});
  return insert.node(OpKind::kConcat, std::move(parts), "_sizes", std::move(axis));
}

void set_input(Graph& graph, NodeId node, size_t input, ValueId value) {
  while (graph.node(node).inputs.size() < input) graph.add_node_input(node, {});
  if (graph.node(node).inputs.size() == input)
    graph.add_node_input(node, value);
  else
    graph.replace_input(node, input, value);
}

}  // namespace

std::vector<NodeId> apply_batch_edit(Graph& graph, const BatchEdit& edit) {
  Inserter insert(graph, graph.node(edit.node).name);
  switch (edit.kind) {
    case BatchEdit::Kind::kConstant:
      set_input(graph, edit.node, edit.input, insert.constant("_any", edit.constant));
      break;
    case BatchEdit::Kind::kReshape: {
      Node& node = graph.edit(edit.node);
      node.kind = OpKind::kReshape;
      node.attributes = {};
      graph.truncate_inputs(edit.node, 1);
      set_input(graph, edit.node, 1, insert.constant("_any", edit.constant));
      break;
    }
    case BatchEdit::Kind::kDrop: {
      const size_t count = graph.node(edit.node).inputs.size();
      if (edit.input + 1 == count)
        graph.truncate_inputs(edit.node, edit.input);
      else
        graph.replace_input(edit.node, edit.input, {});
      break;
    }
    case BatchEdit::Kind::kExpand: {
      const std::vector<int64_t> ones(static_cast<size_t>(edit.rank), 1);
      const ValueId sizes = with_batch(insert, edit, ones);
      const ValueId one = graph.node(edit.node).inputs[edit.input];
      const ValueId expanded = insert.node(OpKind::kExpand, {one, sizes}, "_each");
      graph.edit_type(expanded).dtype = graph.value(one).type.dtype;
      graph.replace_input(edit.node, edit.input, expanded);
      break;
    }
    case BatchEdit::Kind::kPatch:
      graph.replace_input(edit.node, edit.input,
                          with_batch(insert, edit, edit.constant.to_int64()));
      break;
  }
  return insert.added;
}

Tensor common_slice(const Tensor& tensor, int64_t axis) {
  const auto at = static_cast<size_t>(axis);
  const int bits = dtype_bits(tensor.dtype());
  if (at >= tensor.shape().size() || bits < 8 || tensor.numel() == 0) return {};
  const Shape& shape = tensor.shape();
  const auto size = static_cast<size_t>(shape[at]);
  const auto row =
      static_cast<size_t>(element_count(Shape(shape.begin() + axis + 1, shape.end()))) *
      static_cast<size_t>(bits / 8);
  const auto bytes = tensor.bytes();
  std::vector<std::byte> kept;
  for (size_t start = 0; start < bytes.size(); start += size * row) {
    const auto first = bytes.subspan(start, row);
    for (size_t i = 1; i < size; ++i) {
      const auto other = bytes.subspan(start + i * row, row);
      if (!std::equal(first.begin(), first.end(), other.begin())) return {};
    }
    kept.insert(kept.end(), first.begin(), first.end());
  }
  Shape one = shape;
  one[at] = 1;
  return Tensor::from_bytes(tensor.dtype(), std::move(one), std::move(kept));
}

}  // namespace lathe
