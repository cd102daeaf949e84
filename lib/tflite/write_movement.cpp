// Nodes that move elements. Integers keep the scale of what they are moved from.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "ir/error.h"
#include "ir/transpose.h"
#include "ops/op_row.h"
#include "qdq/qdq.h"
#include "tflite/constants.h"
#include "tflite/node_writers.h"

namespace lathe {
namespace {

template <class T>
std::vector<T> placed(const std::vector<T>& values, Order order) {
  std::vector<T> result;
  for (const size_t d : order_dims(order, values.size())) result.push_back(values[d]);
  return result;
}

// N x (C * H * W) of an image that lies N, H, W, C: the layer behind can permute its weights.
void note_flattened(GraphWriter& writer, const Node& node) {
  const Shape in = writer.shape(node.input(0));
  const Shape out = writer.shape(node.output(0));
  if (in.size() < 3 || out.size() != 2 || out[0] != in[0] ||
      !writer.has(node.input(0), Order::kChannelsLast))
    return;
  GraphWriter::Flattened flat;
  flat.channels = in[1];
  flat.pixels = out[1] / in[1];
  if (flat.channels == 1 || flat.pixels == 1) return;
  const TensorIndex last = writer.either(node.input(0), Order::kChannelsLast);
  (writer.params(node.input(0)) ? flat.integers : flat.real) =
      writer.file.reshaped(last, out, writer.name(node.output(0)) + "_flat");
  writer.flattened[writer.root(node.output(0))] = flat;
}

void write_view(GraphWriter& writer, const Node& node) {
  const auto params = writer.params(node.input(0));
  note_flattened(writer, node);
  const TensorIndex from = writer.either(node.input(0), Order::kPlain);
  const ValueId to = node.output(0);
  writer.hold(to, Order::kPlain, params,
              writer.file.reshaped(from, writer.shape(to), writer.name(to)));
}

void write_identity(GraphWriter& writer, const Node& node) {
  const auto params = writer.params(node.input(0));
  for (const Order order : {Order::kPlain, Order::kChannelsLast})
    if (writer.has(node.input(0), order))
      writer.hold(node.output(0), order, params, writer.either(node.input(0), order));
}

void write_transpose(GraphWriter& writer, const Node& node) {
  const size_t rank = writer.shape(node.input(0)).size();
  std::vector<int64_t> listed(rank);
  std::iota(listed.rbegin(), listed.rend(), 0);
  listed = node.attributes.ints_or("perm", listed);
  const std::vector<size_t> perm(listed.begin(), listed.end());
  const auto params = writer.params(node.input(0));
  // The value in its other order is the same tensor.
  if (rank > 2 && perm == order_dims(Order::kChannelsLast, rank)) {
    writer.hold(node.output(0), Order::kPlain, params,
                writer.either(node.input(0), Order::kChannelsLast));
    return;
  }
  if (rank > 2 && perm == inverse_order(order_dims(Order::kChannelsLast, rank))) {
    writer.hold(node.output(0), Order::kChannelsLast, params,
                writer.either(node.input(0), Order::kPlain));
    return;
  }
  // From the order that it lies in.
  const Order order = writer.order_of({node.input(0)});
  std::vector<int64_t> dims;
  for (const size_t d : perm)
    dims.push_back(static_cast<int64_t>(place_of(static_cast<int64_t>(d), order, rank)));
  const TensorIndex from = writer.either(node.input(0), order);
  if (std::is_sorted(dims.begin(), dims.end())) {
    writer.hold(node.output(0), Order::kPlain, params, from);
    return;
  }
  const TensorIndex made = writer.make(node.output(0), Order::kPlain, params);
  writer.file.add_operator(tfl::Operation::TRANSPOSE, 2,
                           {from, writer.file.add_int32("order", dims)}, {made});
  writer.hold(node.output(0), Order::kPlain, params, made);
}

// Integers where all parts have them, at the output's scale.
void write_concat(GraphWriter& writer, const Node& node) {
  const size_t rank = writer.shape(node.output(0)).size();
  const Order order = writer.order_of(node.inputs);
  const int64_t axis = from_front(node.attributes.required_int("axis"), rank);
  const bool integers = std::ranges::all_of(
      node.inputs, [&](ValueId input) { return writer.params(input).has_value(); });
  std::optional<ScaleZeroPoint> params;
  if (integers) {
    params = writer.params(node.input(0));
    if (const auto ending = writer.ending(node.output(0), true);
        ending && ending->merged.size() == 1)
      params = ending->params;
  } else {
    writer.note_floats(node);
  }
  std::vector<TensorIndex> parts;
  for (const ValueId input : node.inputs) {
    TensorIndex part =
        integers ? writer.integers(input, order) : writer.operand(input, order, rank, false);
    if (integers && writer.params(input) != params) {
      const TensorIndex scaled = writer.file.add_tensor(
          writer.name(input) + "_scaled", writer.file.shape(part), tfl::TensorType::INT8,
          {DType::kInt8, {params->scale}, {params->zero_point}, -1});
      writer.file.add_operator(tfl::Operation::QUANTIZE, 2, {part}, {scaled});
      part = scaled;
    }
    parts.push_back(part);
  }
  const TensorIndex made = writer.make(node.output(0), order, params);
  tfl::ConcatenationOptionsT options;
  options.axis = static_cast<int32_t>(place_of(axis, order, rank));
  writer.file.add_operator(tfl::Operation::CONCATENATION, integers ? 2 : 1, std::move(parts),
                           {made}, std::move(options));
  writer.hold(node.output(0), order, params, made);
}

void write_pad(GraphWriter& writer, const Node& node) {
  const size_t rank = writer.shape(node.input(0)).size();
  const std::string mode = node.attributes.string_or("mode", "constant");
  const std::vector<int64_t> pads = constant_integers(writer, node.input(1), "the padding");
  std::vector<int64_t> axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  if (node.input(3).valid()) axes = constant_integers(writer, node.input(3), "the axes");
  std::vector<int32_t> amounts(2 * rank, 0);
  const Order order = writer.order_of({node.input(0)});
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t place = place_of(from_front(axes[i], rank), order, rank);
    const int64_t before = pads[i];
    const int64_t behind = pads[i + axes.size()];
    if (before < 0 || behind < 0) throw no_tflite_form("negative padding has no form there");
    amounts[2 * place] = static_cast<int32_t>(before);
    amounts[2 * place + 1] = static_cast<int32_t>(behind);
  }
  const auto params = writer.params(node.input(0));
  double value = 0;
  if (node.input(2).valid()) {
    const auto constant = real_constant(writer.graph, node.input(2));
    if (!constant) throw no_tflite_form("what is padded with must be a constant");
    value = constant->to_double()[0];
  }
  const TensorIndex by = writer.file.add_constant(
      "padding", Tensor::of<int32_t>({static_cast<int64_t>(rank), 2}, amounts));
  const TensorIndex from = writer.either(node.input(0), order);
  const TensorIndex made = writer.make(node.output(0), order, params);
  if (mode == "reflect") {
    writer.file.add_operator(tfl::Operation::MIRROR_PAD, params ? 2 : 1, {from, by}, {made},
                             tfl::MirrorPadOptionsT());
  } else if (mode == "constant" && value == 0) {
    writer.file.add_operator(tfl::Operation::PAD, params ? 2 : 1, {from, by}, {made});
  } else if (mode == "constant") {
    const TensorIndex with =
        writer.file.add_number_like(from, static_cast<float>(value), "padded_with");
    writer.file.add_operator(tfl::Operation::PADV2, params ? 2 : 1, {from, by, with}, {made});
  } else {
    throw no_tflite_form(fmt::format("padding by {} has no form there",
                                     escape_untrusted(mode, 40)));
  }
  writer.hold(node.output(0), order, params, made);
}

struct Range {
  std::vector<int64_t> start, end, step;  // of all dimensions of the value
};

void write_range(GraphWriter& writer, const Node& node, size_t output, const Range& range) {
  const Order order = writer.order_of({node.input(0)});
  const auto params = writer.params(node.input(0));
  const TensorIndex from = writer.either(node.input(0), order);
  const TensorIndex made = writer.make(node.output(output), order, params);
  const auto start = writer.file.add_int32("start", placed(range.start, order));
  if (std::ranges::all_of(range.step, [](int64_t step) { return step == 1; })) {
    std::vector<int64_t> sizes;
    for (size_t i = 0; i < range.start.size(); ++i) sizes.push_back(range.end[i] - range.start[i]);
    writer.file.add_operator(tfl::Operation::SLICE, params ? 2 : 1,
                             {from, start, writer.file.add_int32("size", placed(sizes, order))},
                             {made});
  } else {
    writer.file.add_operator(tfl::Operation::STRIDED_SLICE, params ? 2 : 1,
                             {from, start, writer.file.add_int32("end", placed(range.end, order)),
                              writer.file.add_int32("step", placed(range.step, order))},
                             {made}, tfl::StridedSliceOptionsT());
  }
  writer.hold(node.output(output), order, params, made);
}

Range whole(const Shape& shape) {
  return {std::vector<int64_t>(shape.size(), 0), shape, std::vector<int64_t>(shape.size(), 1)};
}

void write_slice(GraphWriter& writer, const Node& node) {
  const Shape shape = writer.shape(node.input(0));
  const auto starts = constant_integers(writer, node.input(1), "the beginning");
  const auto ends = constant_integers(writer, node.input(2), "the end");
  std::vector<int64_t> axes(starts.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (node.input(3).valid()) axes = constant_integers(writer, node.input(3), "the axes");
  std::vector<int64_t> steps(starts.size(), 1);
  if (node.input(4).valid()) steps = constant_integers(writer, node.input(4), "the steps");
  Range range = whole(shape);
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(from_front(axes[i], shape.size()));
    if (steps[i] < 1) throw no_tflite_form("slices that run back have no form there");
    const auto bounded = [&](int64_t at) {
      return std::clamp<int64_t>(at < 0 ? at + shape[axis] : at, 0, shape[axis]);
    };
    range.start[axis] = bounded(starts[i]);
    range.end[axis] = std::max(bounded(ends[i]), range.start[axis]);
    range.step[axis] = steps[i];
  }
  write_range(writer, node, 0, range);
}

void write_split(GraphWriter& writer, const Node& node) {
  const Shape shape = writer.shape(node.input(0));
  const auto axis =
      static_cast<size_t>(from_front(node.attributes.int_or("axis", 0), shape.size()));
  int64_t at = 0;
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.output(i).valid()) throw no_tflite_form("a part of a split that has no name");
    Range range = whole(shape);
    range.start[axis] = at;
    at += writer.shape(node.output(i))[axis];
    range.end[axis] = at;
    write_range(writer, node, i, range);
  }
}

void write_gather(GraphWriter& writer, const Node& node) {
  const Shape shape = writer.shape(node.input(0));
  const auto params = writer.params(node.input(0));
  tfl::GatherOptionsT options;
  options.axis = static_cast<int32_t>(from_front(node.attributes.int_or("axis", 0), shape.size()));
  TensorIndex which = -1;
  if (const Tensor* constant = writer.graph.constant(node.input(1))) {
    std::vector<int32_t> indices;
    for (const int64_t index : constant->to_int64())
      indices.push_back(static_cast<int32_t>(
          from_front(index, static_cast<size_t>(shape[static_cast<size_t>(options.axis)]))));
    which = writer.file.add_constant(writer.name(node.input(1)),
                                     Tensor::of<int32_t>(constant->shape(), indices));
  } else {
    which = writer.real(node.input(1), Order::kPlain);
  }
  const TensorIndex from = writer.either(node.input(0), Order::kPlain);
  const TensorIndex made = writer.make(node.output(0), Order::kPlain, params);
  writer.file.add_operator(tfl::Operation::GATHER, params ? 2 : 1, {from, which}, {made},
                           std::move(options));
  writer.hold(node.output(0), Order::kPlain, params, made);
}

// Tile and Expand: each dimension as often as the result has it.
void write_tile(GraphWriter& writer, const Node& node) {
  const Shape out = writer.shape(node.output(0));
  Shape in = writer.shape(node.input(0));
  in.insert(in.begin(), out.size() - in.size(), 1);
  const auto params = writer.params(node.input(0));
  const TensorIndex from = writer.file.reshaped(writer.either(node.input(0), Order::kPlain), in,
                                                node.name + "_once");
  const TensorIndex made = writer.make(node.output(0), Order::kPlain, params);
  bool is_broadcast = true;
  std::vector<int64_t> times;
  for (size_t i = 0; i < out.size(); ++i) {
    times.push_back(in[i] == 0 ? 1 : out[i] / in[i]);
    is_broadcast = is_broadcast && (in[i] == 1 || in[i] == out[i]);
  }
  // TFLM has no TILE.
  const auto [operation, version] = is_broadcast
                                        ? std::pair(tfl::Operation::BROADCAST_TO, params ? 3 : 2)
                                        : std::pair(tfl::Operation::TILE, 1);
  writer.file.add_operator(
      operation, version,
      {from, writer.file.add_int32(node.name + "_times", is_broadcast ? out : times)}, {made});
  writer.hold(node.output(0), Order::kPlain, params, made);
}

constexpr NodeWriter kMovementWriters[] = {
    {OpKind::kReshape, write_view},      {OpKind::kFlatten, write_view},
    {OpKind::kSqueeze, write_view},      {OpKind::kUnsqueeze, write_view},
    {OpKind::kIdentity, write_identity}, {OpKind::kDropout, write_identity},
    {OpKind::kTranspose, write_transpose}, {OpKind::kConcat, write_concat},
    {OpKind::kPad, write_pad},           {OpKind::kSlice, write_slice},
    {OpKind::kSplit, write_split},       {OpKind::kGather, write_gather},
    {OpKind::kTile, write_tile},         {OpKind::kExpand, write_tile},
};

}  // namespace

std::span<const NodeWriter> movement_writers() { return kMovementWriters; }

}  // namespace lathe
