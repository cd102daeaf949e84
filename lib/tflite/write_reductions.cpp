// Reductions, and what is made of them.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/error.h"
#include "ops/op_row.h"
#include "tflite/node_writers.h"

namespace lathe {
namespace {

// The order of what is left when dimensions go: as it lay, or the graph's.
struct Reduced {
  Order in, out;
  std::vector<int64_t> places;
};

Reduced reduced(const GraphWriter& writer, const Node& node, const std::vector<int64_t>& axes,
                bool keeps) {
  const size_t rank = writer.shape(node.input(0)).size();
  Reduced form{writer.order_of({node.input(0)}), Order::kPlain, {}};
  std::vector<size_t> left;
  for (const size_t d : order_dims(form.in, rank))
    if (std::ranges::find(axes, static_cast<int64_t>(d)) == axes.end()) left.push_back(d);
  if (keeps)
    form.out = form.in;
  else if (!std::is_sorted(left.begin(), left.end()))
    form.in = Order::kPlain;
  for (const int64_t axis : axes)
    form.places.push_back(static_cast<int64_t>(place_of(axis, form.in, rank)));
  std::sort(form.places.begin(), form.places.end());
  return form;
}

void write_reduction(GraphWriter& writer, const Node& node, tfl::Operation operation,
                     std::vector<int64_t> axes, bool keeps, const Ending& ending) {
  const Reduced form = reduced(writer, node, axes, keeps);
  const bool integers = ending.params.has_value();
  const TensorIndex from =
      integers ? writer.integers(node.input(0), form.in) : writer.real(node.input(0), form.in);
  const TensorIndex made = writer.open(ending, form.out);
  tfl::ReducerOptionsT options;
  options.keep_dims = keeps;
  writer.file.add_operator(operation, integers ? 2 : 1,
                           {from, writer.file.add_int32("axes", form.places)}, {made},
                           std::move(options));
  writer.close(ending, form.out, made);
}

std::vector<int64_t> reduced_axes(const GraphWriter& writer, const Node& node) {
  const size_t rank = writer.shape(node.input(0)).size();
  std::vector<int64_t> axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  if (node.input(1).valid()) axes = constant_integers(writer, node.input(1), "the axes");
  for (int64_t& axis : axes) axis = from_front(axis, rank);
  return axes;
}

void write_reduce(GraphWriter& writer, const Node& node) {
  const bool keeps = node.attributes.int_or("keepdims", 1) != 0;
  const std::vector<int64_t> axes = reduced_axes(writer, node);
  if (node.kind == OpKind::kReduceMean) {
    write_mean(writer, node, axes, keeps);
    return;
  }
  const bool chooses = node.kind != OpKind::kReduceSum;
  const Ending ending{node.output(0), chooses ? writer.params(node.input(0)) : std::nullopt};
  if (!chooses) writer.note_floats(node);
  write_reduction(writer, node,
                  !chooses                          ? tfl::Operation::SUM
                  : node.kind == OpKind::kReduceMax ? tfl::Operation::REDUCE_MAX
                                                    : tfl::Operation::REDUCE_MIN,
                  axes, keeps, ending);
}

// (x - mean) / sqrt(variance + epsilon) * scale + bias over the last dimensions, in real numbers.
void write_layer_norm(GraphWriter& writer, const Node& node) {
  const Shape shape = writer.shape(node.input(0));
  if (node.output(1).valid() || node.output(2).valid())
    throw no_tflite_form("a normalization that gives mean and deviation, too");
  writer.note_floats(node);
  const std::string name = writer.name(node.output(0));
  const int64_t first = from_front(node.attributes.int_or("axis", -1), shape.size());
  std::vector<int64_t> axes;
  Shape small = shape;
  for (size_t i = static_cast<size_t>(first); i < shape.size(); ++i) {
    axes.push_back(static_cast<int64_t>(i));
    small[i] = 1;
  }
  FileBuilder& file = writer.file;
  const auto tensor = [&](const Shape& sizes, std::string_view what) {
    return file.add_tensor(fmt::format("{}_{}", name, what), sizes, tfl::TensorType::FLOAT32);
  };
  const auto mean = [&](TensorIndex of, std::string_view what) {
    const TensorIndex made = tensor(small, what);
    tfl::ReducerOptionsT options;
    options.keep_dims = true;
    file.add_operator(tfl::Operation::MEAN, 1, {of, file.add_int32("axes", axes)}, {made},
                      std::move(options));
    return made;
  };
  const TensorIndex x = writer.real(node.input(0), Order::kPlain);
  const TensorIndex average = mean(x, "mean");
  const TensorIndex centered = tensor(shape, "centered");
  file.add_operator(tfl::Operation::SUB, 1, {x, average}, {centered}, tfl::SubOptionsT());
  const TensorIndex squares = tensor(shape, "squares");
  file.add_operator(tfl::Operation::MUL, 1, {centered, centered}, {squares}, tfl::MulOptionsT());
  const TensorIndex widened = tensor(small, "variance");
  file.add_operator(
      tfl::Operation::ADD, 1,
      {mean(squares, "variance"),
       file.add_constant("epsilon", Tensor::scalar(node.attributes.float_or("epsilon", 1e-5F)))},
      {widened}, tfl::AddOptionsT());
  const TensorIndex inverse = tensor(small, "inverse");
  file.add_operator(tfl::Operation::RSQRT, 1, {widened}, {inverse});
  TensorIndex value = tensor(shape, "normal");
  file.add_operator(tfl::Operation::MUL, 1, {centered, inverse}, {value}, tfl::MulOptionsT());
  const TensorIndex scaled = tensor(shape, "scaled");
  file.add_operator(tfl::Operation::MUL, 1,
                    {value, writer.operand(node.input(1), Order::kPlain, shape.size(), false)},
                    {scaled}, tfl::MulOptionsT());
  value = scaled;
  if (node.input(2).valid()) {
    value = tensor(shape, "moved");
    file.add_operator(tfl::Operation::ADD, 1,
                      {scaled, writer.operand(node.input(2), Order::kPlain, shape.size(), false)},
                      {value}, tfl::AddOptionsT());
  }
  writer.hold_real(node.output(0), Order::kPlain, value);
}

constexpr NodeWriter kReductionWriters[] = {
    {OpKind::kReduceMean, write_reduce},
    {OpKind::kReduceSum, write_reduce},
    {OpKind::kReduceMax, write_reduce},
    {OpKind::kReduceMin, write_reduce},
    {OpKind::kLayerNormalization, write_layer_norm},
};

}  // namespace

void write_mean(GraphWriter& writer, const Node& node, std::vector<int64_t> axes, bool keeps) {
  std::optional<Ending> ending;
  if (writer.params(node.input(0))) ending = writer.ending(node.output(0), true);
  if (ending && ending->activation != tfl::Activation::NONE) ending.reset();
  if (!ending) writer.note_floats(node);
  const Ending made =
      ending ? *ending : Ending{node.output(0)};
  write_reduction(writer, node, tfl::Operation::MEAN, std::move(axes), keeps, made);
}

std::span<const NodeWriter> reduction_writers() { return kReductionWriters; }

}  // namespace lathe
