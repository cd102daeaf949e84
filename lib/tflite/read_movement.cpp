// Operators that move elements, and reductions.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ir/error.h"
#include "tflite/operator_readers.h"

namespace lathe {
namespace {

// At its end, and no bound.
constexpr int64_t kAll = std::numeric_limits<int64_t>::max();

std::string float_name(const OperatorCall& call) { return call.output_name() + "_float"; }

void made_as_stored(const OperatorCall& call, OpKind kind, std::vector<ValueId> inputs,
                    Attributes attributes = {}) {
  call.graph.produce(
      call.outputs[0], Layout::kStored,
      call.graph.add(kind, std::move(inputs), float_name(call), std::move(attributes)));
}

void reshape(const OperatorCall& call) {
  std::vector<int64_t> shape;
  if (call.has(1) && call.graph.constant(call.input(1)) != nullptr)
    shape = call.graph.integers(call.input(1), "the new shape");
  else if (call.record.options_type() == tfl::Options::ReshapeOptions &&
           call.options<tfl::ReshapeOptions>().new_shape() != nullptr)
    shape.assign(call.options<tfl::ReshapeOptions>().new_shape()->begin(),
                 call.options<tfl::ReshapeOptions>().new_shape()->end());
  else if (call.operation == tfl::Operation::RESHAPE && call.has(1))
    throw bad_operator("the new shape must be a constant");
  else
    shape = call.graph.shape(call.outputs[0]);
  made_as_stored(call, OpKind::kReshape,
                 {call.graph.real(call.input(0), Layout::kStored), call.graph.ints(shape)});
}

// What they make stands in the file.
void squeeze(const OperatorCall& call) {
  made_as_stored(call, OpKind::kReshape,
                 {call.graph.real(call.input(0), Layout::kStored),
                  call.graph.ints(call.graph.shape(call.outputs[0]))});
}

void transpose(const OperatorCall& call) {
  Attributes attributes;
  attributes.set("perm", call.graph.integers(call.input(1), "the order"));
  made_as_stored(call, OpKind::kTranspose, {call.graph.real(call.input(0), Layout::kStored)},
                 std::move(attributes));
}

void concatenate(const OperatorCall& call) {
  const auto& options = call.options<tfl::ConcatenationOptions>();
  const Layout layout = layout_of(call.graph, call.inputs);
  std::vector<ValueId> parts;
  for (size_t i = 0; i < call.inputs.size(); ++i)
    parts.push_back(call.graph.real(call.input(i), layout));
  Attributes attributes;
  attributes.set("axis", axis_in(call.graph, call.input(0), options.axis(), layout));
  const ValueId made =
      call.graph.add(OpKind::kConcat, std::move(parts), float_name(call), std::move(attributes));
  call.graph.produce(call.outputs[0], layout,
                     activated(call.graph, made, options.activation()));
}

void pad(const OperatorCall& call) {
  GraphReader& graph = call.graph;
  const int input = call.input(0);
  const Layout layout = layout_of(graph, {input});
  const std::vector<int64_t> pairs = graph.integers(call.input(1), "the padding");
  const size_t rank = graph.shape(input).size();
  if (pairs.size() != 2 * rank)
    throw bad_operator(fmt::format("{} paddings of {} dimensions", pairs.size(), rank));
  std::vector<int64_t> pads(2 * rank);
  for (size_t i = 0; i < rank; ++i) {
    const auto axis = static_cast<size_t>(
        axis_in(graph, input, static_cast<int64_t>(i), layout));
    pads[axis] = pairs[2 * i];
    pads[axis + rank] = pairs[2 * i + 1];
  }
  std::vector<ValueId> inputs{graph.real(input, layout), graph.ints(pads)};
  Attributes attributes;
  if (call.operation == tfl::Operation::MIRROR_PAD) {
    if (call.options<tfl::MirrorPadOptions>().mode() != tfl::MirrorMode::REFLECT)
      throw bad_operator("symmetric padding is not read");
    attributes.set("mode", std::string("reflect"));
  } else if (call.operation == tfl::Operation::PADV2) {
    inputs.push_back(graph.real(call.input(2), Layout::kStored));
  }
  graph.produce(call.outputs[0], layout,
                graph.add(OpKind::kPad, std::move(inputs), float_name(call),
                          std::move(attributes)));
}

struct Cut {
  std::vector<int64_t> starts, ends, steps;
};

ValueId cut_out(const OperatorCall& call, ValueId value, Cut cut, Layout layout,
                const std::string& name) {
  std::vector<int64_t> axes;
  for (size_t i = 0; i < cut.starts.size(); ++i)
    axes.push_back(axis_in(call.graph, call.input(0), static_cast<int64_t>(i), layout));
  return call.graph.add(OpKind::kSlice,
                        {value, call.graph.ints(cut.starts), call.graph.ints(cut.ends),
                         call.graph.ints(axes), call.graph.ints(cut.steps)},
                        name);
}

void slice(const OperatorCall& call) {
  const Layout layout = layout_of(call.graph, {call.input(0)});
  Cut cut;
  cut.starts = call.graph.integers(call.input(1), "the beginning");
  const std::vector<int64_t> sizes = call.graph.integers(call.input(2), "the size");
  if (sizes.size() != cut.starts.size()) throw bad_operator("beginning and size do not agree");
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (cut.starts[i] < 0 || sizes[i] < -1) throw bad_operator("a negative beginning or size");
    cut.ends.push_back(sizes[i] == -1 ? kAll : cut.starts[i] + sizes[i]);
    cut.steps.push_back(1);
  }
  const ValueId value = call.graph.real(call.input(0), layout);
  call.graph.produce(call.outputs[0], layout,
                     cut_out(call, value, std::move(cut), layout, float_name(call)));
}

void strided_slice(const OperatorCall& call) {
  const auto& options = call.options<tfl::StridedSliceOptions>();
  if (options.ellipsis_mask() != 0 || options.new_axis_mask() != 0)
    throw bad_operator("ellipsis and new axes are not read");
  Layout layout = layout_of(call.graph, {call.input(0)});
  if (options.shrink_axis_mask() != 0) layout = Layout::kStored;
  Cut cut{call.graph.integers(call.input(1), "the beginning"),
          call.graph.integers(call.input(2), "the end"),
          call.graph.integers(call.input(3), "the steps")};
  const size_t count = cut.starts.size();
  if (cut.ends.size() != count || cut.steps.size() != count || count > 8)
    throw bad_operator("beginning, end and steps do not agree");
  std::vector<int64_t> gone;
  for (size_t i = 0; i < count; ++i) {
    const int bit = 1 << i;
    if (cut.steps[i] == 0) throw bad_operator("a step of 0");
    const bool back = cut.steps[i] < 0;
    if ((options.shrink_axis_mask() & bit) != 0) {
      gone.push_back(static_cast<int64_t>(i));
      cut.ends[i] = cut.starts[i] == -1 ? kAll : cut.starts[i] + 1;
      cut.steps[i] = 1;
      continue;
    }
    if ((options.begin_mask() & bit) != 0) cut.starts[i] = back ? kAll : 0;
    if ((options.end_mask() & bit) != 0) cut.ends[i] = back ? -kAll : kAll;
  }
  ValueId made = cut_out(call, call.graph.real(call.input(0), layout), std::move(cut), layout,
                         float_name(call));
  if (!gone.empty())
    made = call.graph.add(OpKind::kSqueeze, {made, call.graph.ints(gone)}, "");
  call.graph.produce(call.outputs[0], layout, made);
}

void split(const OperatorCall& call) {
  const bool sized = call.operation == tfl::Operation::SPLIT_V;
  const int input = call.input(sized ? 0 : 1);
  const std::vector<int64_t> axes = call.graph.integers(call.input(sized ? 2 : 0), "the axis");
  if (axes.size() != 1) throw bad_operator("one axis must be given");
  const Layout layout = layout_of(call.graph, {input});
  const int64_t axis = axis_in(call.graph, input, axes[0], layout);
  const int64_t stored_axis = axis_in(call.graph, input, axes[0], Layout::kStored);
  const int64_t size = call.graph.shape(input)[static_cast<size_t>(stored_axis)];
  const auto parts = static_cast<int64_t>(call.outputs.size());
  std::vector<int64_t> sizes(call.outputs.size(), size / parts);
  if (sized) sizes = call.graph.integers(call.input(1), "the sizes");
  if (sizes.size() != call.outputs.size() || size < 0)
    throw bad_operator(fmt::format("{} sizes for {} parts", sizes.size(), parts));
  int64_t at = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < -1) throw bad_operator("a negative size");
    const int64_t end = sizes[i] == -1 ? size : at + sizes[i];
    const ValueId made = call.graph.add(
        OpKind::kSlice,
        {call.graph.real(input, layout), call.graph.ints({at}), call.graph.ints({end}),
         call.graph.ints({axis})},
        call.output_name(i) + "_float");
    call.graph.produce(call.outputs[i], layout, made);
    at = end;
  }
}

void gather(const OperatorCall& call) {
  const auto& options = call.options<tfl::GatherOptions>();
  if (options.batch_dims() != 0) throw bad_operator("gathering by batch is not read");
  Attributes attributes;
  attributes.set("axis", axis_in(call.graph, call.input(0), options.axis(), Layout::kStored));
  made_as_stored(call, OpKind::kGather,
                 {call.graph.real(call.input(0), Layout::kStored),
                  call.graph.stored(call.input(1), Layout::kStored)},
                 std::move(attributes));
}

void pack(const OperatorCall& call) {
  const int64_t rank = static_cast<int64_t>(call.graph.shape(call.input(0)).size()) + 1;
  int64_t axis = call.options<tfl::PackOptions>().axis();
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) throw bad_operator("an axis that is not there");
  std::vector<ValueId> parts;
  for (size_t i = 0; i < call.inputs.size(); ++i)
    parts.push_back(call.graph.add(
        OpKind::kUnsqueeze,
        {call.graph.real(call.input(i), Layout::kStored), call.graph.ints({axis})}, ""));
  Attributes attributes;
  attributes.set("axis", axis);
  made_as_stored(call, OpKind::kConcat, std::move(parts), std::move(attributes));
}

void unpack(const OperatorCall& call) {
  const int input = call.input(0);
  const int64_t axis = axis_in(call.graph, input, call.options<tfl::UnpackOptions>().axis(),
                               Layout::kStored);
  const ValueId value = call.graph.real(input, Layout::kStored);
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    Attributes attributes;
    attributes.set("axis", axis);
    const ValueId which =
        call.graph.add(OpKind::kIdentity, {call.graph.ints({static_cast<int64_t>(i)})}, "");
    const ValueId part = call.graph.add(OpKind::kGather, {value, which}, "", attributes);
    call.graph.produce(call.outputs[i], Layout::kStored,
                       call.graph.add(OpKind::kSqueeze, {part, call.graph.ints({axis})},
                                      call.output_name(i) + "_float"));
  }
}

OpKind reduction(tfl::Operation operation) {
  switch (operation) {
    case tfl::Operation::MEAN: return OpKind::kReduceMean;
    case tfl::Operation::SUM: return OpKind::kReduceSum;
    case tfl::Operation::REDUCE_MAX: return OpKind::kReduceMax;
    default: return OpKind::kReduceMin;
  }
}

void reduce(const OperatorCall& call) {
  GraphReader& graph = call.graph;
  const int input = call.input(0);
  const bool keeps = call.options<tfl::ReducerOptions>().keep_dims();
  std::vector<int64_t> axes = graph.integers(call.input(1), "the axes");
  for (int64_t& axis : axes) axis = axis_in(graph, input, axis, Layout::kStored);
  std::sort(axes.begin(), axes.end());
  // Over pixels, what is left lies alike in both orders.
  Layout layout = layout_of(graph, {input});
  if (!keeps && axes != std::vector<int64_t>{1, 2}) layout = Layout::kStored;
  for (int64_t& axis : axes) axis = axis_in(graph, input, axis, layout);
  Attributes attributes;
  attributes.set("keepdims", int64_t{keeps});
  graph.produce(call.outputs[0], keeps ? layout : Layout::kStored,
                graph.add(reduction(call.operation), {graph.real(input, layout), graph.ints(axes)},
                          float_name(call), std::move(attributes)));
}

void arg_max(const OperatorCall& call) {
  const std::vector<int64_t> axes = call.graph.integers(call.input(1), "the axis");
  if (axes.size() != 1) throw bad_operator("one axis must be given");
  Attributes attributes;
  attributes.set("axis", axis_in(call.graph, call.input(0), axes[0], Layout::kStored));
  attributes.set("keepdims", int64_t{0});
  const ValueId made =
      call.graph.add(OpKind::kArgMax, {call.graph.real(call.input(0), Layout::kStored)}, "",
                     std::move(attributes));
  Attributes cast;
  cast.set("to", static_cast<int64_t>(call.graph.dtype(call.outputs[0])));
  made_as_stored(call, OpKind::kCast, {made}, std::move(cast));
}

void tile(const OperatorCall& call) {
  const std::vector<int64_t> times = call.graph.integers(call.input(1), "how often");
  for (const int64_t count : times)
    if (count < 0) throw bad_operator(fmt::format("{} times", count));
  made_as_stored(call, OpKind::kTile,
                 {call.graph.real(call.input(0), Layout::kStored), call.graph.ints(times)});
}

void broadcast(const OperatorCall& call) {
  made_as_stored(call, OpKind::kExpand,
                 {call.graph.real(call.input(0), Layout::kStored),
                  call.graph.ints(call.graph.integers(call.input(1), "the shape"))});
}

void reverse(const OperatorCall& call) {
  const std::vector<int64_t> axes = call.graph.integers(call.input(1), "the axis");
  const std::vector<int64_t> ones(axes.size(), -1);
  const std::vector<int64_t> ends(axes.size(), -kAll);
  made_as_stored(call, OpKind::kSlice,
                 {call.graph.real(call.input(0), Layout::kStored), call.graph.ints(ones),
                  call.graph.ints(ends), call.graph.ints(axes), call.graph.ints(ones)});
}

constexpr OperatorReader kMovementReaders[] = {
    {tfl::Operation::RESHAPE, reshape},
    {tfl::Operation::SQUEEZE, squeeze},
    {tfl::Operation::EXPAND_DIMS, squeeze},
    {tfl::Operation::TRANSPOSE, transpose},
    {tfl::Operation::CONCATENATION, concatenate},
    {tfl::Operation::PAD, pad},
    {tfl::Operation::PADV2, pad},
    {tfl::Operation::MIRROR_PAD, pad},
    {tfl::Operation::SLICE, slice},
    {tfl::Operation::STRIDED_SLICE, strided_slice},
    {tfl::Operation::SPLIT, split},
    {tfl::Operation::SPLIT_V, split},
    {tfl::Operation::GATHER, gather},
    {tfl::Operation::PACK, pack},
    {tfl::Operation::UNPACK, unpack},
    {tfl::Operation::TILE, tile},
    {tfl::Operation::BROADCAST_TO, broadcast},
    {tfl::Operation::REVERSE_V2, reverse},
    {tfl::Operation::MEAN, reduce},
    {tfl::Operation::SUM, reduce},
    {tfl::Operation::REDUCE_MAX, reduce},
    {tfl::Operation::REDUCE_MIN, reduce},
    {tfl::Operation::ARG_MAX, arg_max},
};

}  // namespace

std::span<const OperatorReader> movement_readers() { return kMovementReaders; }

}  // namespace lathe
