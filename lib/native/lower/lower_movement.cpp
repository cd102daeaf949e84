// Ops that move elements: most are another view of the same memory. Quantized values stay integers.
#include <algorithm>
#include <numeric>

#include "lower/lowering.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

/// The form in which the value moves: its integers where it has some, else itself.
struct Moved {
  ViewId view;
  bool integers = false;
};

Moved moved(Lowering& lowering, ValueId id) {
  if (!lowering.has_real(id) && lowering.roots.quantized(id) == std::nullopt) {
    const ViewId integers = lowering.integers(id);
    if (integers.valid()) return {integers, true};
  }
  return {lowering.real(id), false};
}

bool reshape(Lowering& lowering, const Node& node) {
  const Moved from = moved(lowering, node.input(0));
  const Shape shape = *lowering.shape(node.outputs[0]);
  ViewId to = lowering.build.reshaped(from.view, shape);
  if (!to.valid()) to = lowering.build.reshaped(lowering.dense_of(from.view), shape);
  if (!to.valid()) return false;
  lowering.set(node.outputs[0], to, from.integers);
  return true;
}

bool transpose(Lowering& lowering, const Node& node) {
  const Moved from = moved(lowering, node.input(0));
  std::vector<int64_t> order = plain_order(lowering.build.view(from.view).shape.size());
  std::reverse(order.begin(), order.end());
  order = node.attributes.ints_or("perm", order);
  lowering.set(node.outputs[0], lowering.build.transposed(from.view, order), from.integers);
  return true;
}

bool slice(Lowering& lowering, const Node& node) {
  const auto starts = lowering.constant_ints(node.input(1));
  const auto ends = lowering.constant_ints(node.input(2));
  if (!starts || !ends || starts->size() != ends->size()) return false;
  std::vector<int64_t> axes(starts->size());
  std::iota(axes.begin(), axes.end(), int64_t{0});
  std::vector<int64_t> steps(starts->size(), 1);
  if (node.input(3).valid()) {
    const auto given = lowering.constant_ints(node.input(3));
    if (!given || given->size() != starts->size()) return false;
    axes = *given;
  }
  if (node.input(4).valid()) {
    const auto given = lowering.constant_ints(node.input(4));
    if (!given || given->size() != starts->size()) return false;
    steps = *given;
  }
  const Moved from = moved(lowering, node.input(0));
  const Shape shape = lowering.build.view(from.view).shape;
  const Shape result = *lowering.shape(node.outputs[0]);
  ViewId view = from.view;
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = normal_axis(axes[i], shape.size());
    const int64_t size = shape[axis];
    int64_t start = (*starts)[i];
    if (start < 0) start += size;
    start = steps[i] > 0 ? std::clamp<int64_t>(start, 0, size)
                         : std::clamp<int64_t>(start, 0, size - 1);
    view = lowering.build.sliced(view, axis, start, steps[i], result[axis]);
  }
  // Nothing is left: no address need be right.
  if (element_count(result) == 0) return false;
  lowering.set(node.outputs[0], view, from.integers);
  return true;
}

bool split(Lowering& lowering, const Node& node) {
  const Moved from = moved(lowering, node.input(0));
  const Shape shape = lowering.build.view(from.view).shape;
  const size_t axis = normal_axis(node.attributes.int_or("axis", 0), shape.size());
  int64_t start = 0;
  for (const ValueId output : node.outputs) {
    if (!output.valid()) return false;
    const int64_t count = (*lowering.shape(output))[axis];
    lowering.set(output, lowering.build.sliced(from.view, axis, start, 1, count), from.integers);
    start += count;
  }
  return true;
}

bool expand(Lowering& lowering, const Node& node) {
  const Moved from = moved(lowering, node.input(0));
  const Shape shape = *lowering.shape(node.outputs[0]);
  if (shape.size() < lowering.build.view(from.view).shape.size()) return false;
  lowering.set(node.outputs[0], lowering.build.expanded(from.view, shape), from.integers);
  return true;
}

/// Repeats lie beside the dimensions that they repeat, with a stride of 0.
bool tile(Lowering& lowering, const Node& node) {
  const auto repeats = lowering.constant_ints(node.input(1));
  const Moved from = moved(lowering, node.input(0));
  const PlanView view = lowering.build.view(from.view);
  if (!repeats || repeats->size() != view.shape.size()) return false;
  const Shape result = *lowering.shape(node.outputs[0]);
  PlanView wide = view;
  wide.shape.clear();
  wide.strides.clear();
  for (size_t i = 0; i < view.shape.size(); ++i) {
    if ((*repeats)[i] * view.shape[i] != result[i]) return false;
    if ((*repeats)[i] != 1) {
      wide.shape.push_back((*repeats)[i]);
      wide.strides.push_back(0);
    }
    wide.shape.push_back(view.shape[i]);
    wide.strides.push_back(view.strides[i]);
  }
  const ViewId repeated = lowering.build.add_view(wide);
  ViewId to = lowering.build.reshaped(repeated, result);
  constexpr size_t kMostCopiedRank = 8;
  if (!to.valid() && wide.shape.size() > kMostCopiedRank) return false;
  if (!to.valid()) to = lowering.build.reshaped(lowering.dense_of(repeated), result);
  lowering.set(node.outputs[0], to, from.integers);
  return true;
}

/// Gather by indices that are known when it runs, or by several.
bool gather_rows(Lowering& lowering, NodeId id) {
  const Node& node = lowering.graph.node(id);
  const ValueId index = node.input(1);
  const DType type = lowering.graph.value(index).type.dtype;
  if ((type != DType::kInt32 && type != DType::kInt64) || !lowering.shape(index)) return false;
  PlanBuilder& build = lowering.build;
  const Moved from = moved(lowering, node.input(0));
  const ViewId input = lowering.dense_of(from.view);
  const PlanView source = build.view(input);
  const auto axis =
      static_cast<int64_t>(normal_axis(node.attributes.int_or("axis", 0), source.shape.size()));
  const Shape shape = *lowering.shape(node.outputs[0]);
  const ViewId output =
      build.add_dense(lowering.graph.value(node.outputs[0]).name, source.dtype, shape);
  build.set_params(output, params_of(source));
  const ViewId indices = lowering.dense(index);
  lowering.set(node.outputs[0], output, from.integers);
  lowering.add_step({id}, GatherStep{input, indices, output, axis});
  return true;
}

/// Gather of one constant index: a slice.
bool gather(Lowering& lowering, NodeId id) {
  const Node& node = lowering.graph.node(id);
  const auto indices = lowering.constant_ints(node.input(1));
  if (!indices || indices->size() != 1) return gather_rows(lowering, id);
  const Moved from = moved(lowering, node.input(0));
  const Shape shape = lowering.build.view(from.view).shape;
  const size_t axis = normal_axis(node.attributes.int_or("axis", 0), shape.size());
  int64_t at = indices->front();
  if (at < 0) at += shape[axis];
  if (at < 0 || at >= shape[axis]) return false;
  const ViewId part = lowering.build.sliced(from.view, axis, at, 1, 1);
  // A dimension of one may come or go in any layout.
  PlanView view = lowering.build.view(part);
  view.shape.erase(view.shape.begin() + static_cast<std::ptrdiff_t>(axis));
  view.strides.erase(view.strides.begin() + static_cast<std::ptrdiff_t>(axis));
  const Shape result = *lowering.shape(node.outputs[0]);
  const size_t added = result.size() - view.shape.size();
  view.shape.insert(view.shape.begin() + static_cast<std::ptrdiff_t>(axis), added, 1);
  view.strides.insert(view.strides.begin() + static_cast<std::ptrdiff_t>(axis), added, 1);
  if (view.shape != result) return false;
  lowering.set(node.outputs[0], lowering.build.add_view(view), from.integers);
  return true;
}

/// DepthToSpace and SpaceToDepth: split two dimensions, permute, join.
bool shuffle_pixels(Lowering& lowering, const Node& node) {
  const Moved from = moved(lowering, node.input(0));
  const PlanView view = lowering.build.view(from.view);
  if (view.shape.size() != 4) return false;
  const int64_t b = node.attributes.required_int("blocksize");
  const Shape& s = view.shape;
  const Shape result = *lowering.shape(node.outputs[0]);
  const bool to_space = node.kind == OpKind::kDepthToSpace;
  const bool crd = node.attributes.string_or("mode", "DCR") == "CRD";
  Shape split;
  std::vector<int64_t> order;
  if (to_space) {
    const int64_t c = s[1] / (b * b);
    split = crd ? Shape{s[0], c, b, b, s[2], s[3]} : Shape{s[0], b, b, c, s[2], s[3]};
    order = crd ? std::vector<int64_t>{0, 1, 4, 2, 5, 3} : std::vector<int64_t>{0, 3, 4, 1, 5, 2};
  } else {
    split = {s[0], s[1], s[2] / b, b, s[3] / b, b};
    order = {0, 3, 5, 1, 2, 4};
  }
  ViewId parts = lowering.build.reshaped(from.view, split);
  if (!parts.valid()) parts = lowering.build.reshaped(lowering.dense_of(from.view), split);
  const ViewId turned = lowering.build.transposed(parts, order);
  ViewId to = lowering.build.reshaped(turned, result);
  if (!to.valid()) {
    // Into the layout that images have.
    const PlanView wide = lowering.build.view(turned);
    const std::vector<int64_t> memory =
        to_space ? std::vector<int64_t>{0, 2, 3, 4, 5, 1} : std::vector<int64_t>{0, 4, 5, 1, 2, 3};
    const ViewId copy = lowering.build.add_array(wide.name, wide.dtype, wide.shape, memory);
    lowering.build.set_params(copy, params_of(wide));
    lowering.build.add_step({node.name}, -1, CopyStep{turned, copy});
    to = lowering.build.reshaped(copy, result);
  }
  if (!to.valid()) return false;
  lowering.set(node.outputs[0], to, from.integers);
  return true;
}

}  // namespace

bool lower_movement(Lowering& lowering, NodeId id) {
  const Node& node = lowering.graph.node(id);
  if (!lowering.shape(node.input(0))) return false;
  for (const ValueId output : node.outputs)
    if (!output.valid() || !lowering.shape(output)) return false;
  bool done = false;
  switch (node.kind) {
    case OpKind::kIdentity:
    case OpKind::kFlatten:
    case OpKind::kReshape:
    case OpKind::kSqueeze:
    case OpKind::kUnsqueeze: done = reshape(lowering, node); break;
    case OpKind::kTranspose: done = transpose(lowering, node); break;
    case OpKind::kSlice: done = slice(lowering, node); break;
    case OpKind::kSplit: done = split(lowering, node); break;
    case OpKind::kExpand: done = expand(lowering, node); break;
    case OpKind::kTile: done = tile(lowering, node); break;
    case OpKind::kGather: done = gather(lowering, id); break;
    case OpKind::kDepthToSpace:
    case OpKind::kSpaceToDepth: done = shuffle_pixels(lowering, node); break;
    default: return false;
  }
  if (done) lowering.finish(id);
  return done;
}

}  // namespace lathe
