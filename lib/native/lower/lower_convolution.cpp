// Conv and ConvTranspose: integer products, depthwise products, and float convolutions.
#include <algorithm>

#include "evaluate/window.h"
#include "ir/error.h"
#include "lower/integer_product_step.h"
#include "lower/lowering.h"
#include "lower/widen_taps.h"

namespace lathe {
namespace {

struct Geometry {
  Window window;
  int64_t groups = 1;
  bool transposed = false;
};

std::optional<Geometry> geometry_of(const Lowering& lowering, const Node& node,
                                    const Shape& weights) {
  if (weights.size() < 3 || weights.size() > 5) return std::nullopt;
  const auto window = static_window(lowering.graph, node, {weights.begin() + 2, weights.end()});
  if (!window) return std::nullopt;
  return Geometry{*window, node.attributes.int_or("group", 1), node.kind == OpKind::kConvTranspose};
}

PlanWindow plan_window(const Window& window) {
  const size_t last = window.rank() - 1;
  PlanWindow plan;
  plan.kernel_width = window.kernel[last];
  plan.stride_width = window.strides[last];
  plan.dilation_width = window.dilations[last];
  plan.pad_left = window.begin[last];
  if (window.rank() == 1) return plan;
  plan.kernel_height = window.kernel[0];
  plan.stride_height = window.strides[0];
  plan.dilation_height = window.dilations[0];
  plan.pad_top = window.begin[0];
  return plan;
}

std::optional<Shape> output_pads(const Node& node) {
  if (node.kind != OpKind::kConvTranspose) return Shape{};
  const std::string auto_pad = node.attributes.string_or("auto_pad", "NOTSET");
  if (auto_pad != "NOTSET" || node.attributes.has("output_shape")) return std::nullopt;
  return node.attributes.ints_or("output_padding", {});
}

// What of a transposed convolution makes every stride-th output from `phase` on, along one axis: an
// ordinary convolution by every stride-th tap, the last one first. `taps` is empty where none does.
struct Phase {
  std::vector<int64_t> taps;
  int64_t pad = 0;  // of the input before its begin; negative: so much of it is not read
};

Phase phase_of(int64_t kernel, int64_t stride, int64_t pad, int64_t phase) {
  Phase made;
  // Output o = stride * q + phase reads input q + (phase + pad - tap) / stride.
  for (int64_t tap = kernel - 1; tap >= 0; --tap)
    if ((phase + pad - tap) % stride == 0) made.taps.push_back(tap);
  if (!made.taps.empty()) made.pad = -(phase + pad - made.taps.front()) / stride;
  return made;
}

IntegerWeights taps_of(const IntegerWeights& all, const Phase& rows, const Phase& columns,
                       int64_t kernel_width) {
  IntegerWeights some = all;
  some.values.clear();
  some.taps = std::max<int64_t>(1, static_cast<int64_t>(rows.taps.size() * columns.taps.size()));
  if (rows.taps.empty() || columns.taps.empty()) {
    some.values.assign(static_cast<size_t>(all.columns * all.depth), 0);
    return some;
  }
  for (int64_t c = 0; c < all.columns; ++c)
    for (const int64_t row : rows.taps)
      for (const int64_t column : columns.taps) {
        const int64_t at = (c * all.taps + row * kernel_width + column) * all.depth;
        some.values.insert(some.values.end(), all.values.begin() + at,
                           all.values.begin() + at + all.depth);
      }
  return some;
}

// As many products as there are places within a stride.
bool lower_integer_transposed(Lowering& lowering, NodeId id, const Geometry& geometry) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  const PlanWindow window = plan_window(geometry.window);
  const auto shape = lowering.shape(node.outputs[0]);
  // Other plans have no steps that write every other pixel.
  if (!lowering.options.compact || geometry.window.rank() > 2 || lowering.stays_float(id) ||
      window.dilation_height != 1 || window.dilation_width != 1 || !output_pads(node))
    return false;
  const ViewId input = lowering.integers(node.input(0));
  if (!input.valid()) return false;
  const auto weights = transposed_weights(graph, node, 1, geometry.groups);
  if (!weights) return false;
  const auto bias = bias_floats(lowering, node.input(2), weights->columns);
  if (!bias) return false;
  const int64_t height = shape->size() > 3 ? (*shape)[2] : 1;
  std::vector<IntegerProduct> products;
  for (int64_t y = 0; y < std::min(window.stride_height, height); ++y)
    for (int64_t x = 0; x < std::min(window.stride_width, shape->back()); ++x) {
      const Phase rows = phase_of(window.kernel_height, window.stride_height, window.pad_top, y);
      const Phase columns = phase_of(window.kernel_width, window.stride_width, window.pad_left, x);
      IntegerProduct& product = products.emplace_back();
      product.input = input;
      product.groups = geometry.groups;
      product.is_transposed = true;
      product.bias = *bias;
      product.weights = taps_of(*weights, rows, columns, window.kernel_width);
      if (!rows.taps.empty() && !columns.taps.empty()) {
        product.window.kernel_height = static_cast<int64_t>(rows.taps.size());
        product.window.kernel_width = static_cast<int64_t>(columns.taps.size());
        product.window.pad_top = rows.pad;
        product.window.pad_left = columns.pad;
      }
      product.rows = {y, window.stride_height};
      product.columns = {x, window.stride_width};
    }
  return add_integer_products(lowering, id, node.outputs[0], std::move(products), false);
}

bool lower_integer(Lowering& lowering, NodeId id, const Geometry& geometry) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  if (geometry.transposed) return lower_integer_transposed(lowering, id, geometry);
  if (geometry.window.rank() > 2 || lowering.stays_float(id)) return false;
  const ViewId input = lowering.integers(node.input(0));
  if (!input.valid()) return false;
  auto weights = integer_weights(graph, node, 1, 0, false);
  if (!weights) return false;
  const std::optional<std::vector<float>> bias =
      bias_floats(lowering, node.input(2), weights->columns);
  if (!bias) return false;
  IntegerProduct product;
  const bool depthwise = weights->depth == 1 && weights->columns == geometry.groups;
  product.input = depthwise                  ? lowering.pixel_rows_of(input)
                  : lowering.options.compact ? input
                                             : lowering.pixels_of(input);
  product.axis = ChannelAxis::kSecond;
  product.window = plan_window(geometry.window);
  product.groups = geometry.groups;
  product.bias = *bias;
  weights->move_channels_last();
  product.weights = std::move(*weights);
  if (!depthwise && !lowering.options.compact) widen_taps(lowering, product, *lowering.shape(node.outputs[0]));
  return add_integer_product(lowering, id, node.outputs[0], std::move(product), depthwise);
}

/// Columns become lines: kernels are fast along the last axis, and a column of pixels has none.
bool is_column(const FloatConvStep& step, const Shape& input, const Shape& output) {
  return input.size() == 4 && input[3] == 1 && output[3] == 1 && input[2] > 1 &&
         step.pads_begin[1] == 0 && step.pads_end[1] == 0;
}

void turn_to_line(Lowering& lowering, FloatConvStep& step) {
  const std::vector<int64_t> order{0, 1, 3, 2};
  step.input = lowering.build.transposed(step.input, order);
  step.output = lowering.build.transposed(step.output, order);
  step.weights = lowering.build.transposed(step.weights, order);
  for (std::vector<int64_t>* axes :
       {&step.strides, &step.dilations, &step.pads_begin, &step.pads_end})
    std::swap((*axes)[0], (*axes)[1]);
}

bool lower_float(Lowering& lowering, NodeId id, const Geometry& geometry) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  const Tensor weights = constant_floats(lowering.graph, node.input(1));
  if (!weights.defined() || !output_pads(node)) return false;
  Tensor bias;
  if (node.input(2).valid()) {
    bias = constant_floats(lowering.graph, node.input(2));
    if (!bias.defined()) return false;
  }
  const Shape extra = *output_pads(node);
  // oneDNN wants less of it than a stride.
  for (size_t i = 0; i < extra.size(); ++i)
    if (geometry.window.end[i] - extra[i] <= -geometry.window.strides[i]) return false;
  ProductTail tail = follow_product(lowering, node.outputs[0]);
  FloatConvStep step;
  std::vector<NodeId> nodes{id};
  ValueId result = node.outputs[0];
  if (tail.activation && float_tail(*tail.activation, step.tail)) {
    nodes.push_back(tail.nodes.front());
    result = graph.node(tail.nodes.front()).outputs[0];
  }
  const auto shape = lowering.shape(result);
  if (!shape) return false;
  step.input = lowering.dense_pixels_of(lowering.real_input(id, 0));
  step.weights = lowering.build.add_constant(graph.value(node.input(1)).name, weights);
  if (bias.defined())
    step.bias = lowering.build.add_constant(graph.value(node.input(2)).name, bias);
  step.strides = geometry.window.strides;
  step.dilations = geometry.window.dilations;
  step.pads_begin = geometry.window.begin;
  step.pads_end = geometry.window.end;
  step.groups = geometry.groups;
  step.transposed = geometry.transposed;
  step.bfloat16 = lowering.options.bfloat16;
  for (size_t i = 0; i < extra.size(); ++i) step.pads_end[i] -= extra[i];
  step.output = lowering.add_output(result, *shape, channels_last_order(shape->size()));
  if (is_column(step, *lowering.shape(node.input(0)), *shape)) turn_to_line(lowering, step);
  lowering.add_step(nodes, std::move(step));
  return true;
}

}  // namespace

bool lower_convolution(Lowering& lowering, NodeId id) {
  const Node& node = lowering.graph.node(id);
  const auto weights = lowering.shape(node.input(1));
  if (!lowering.is_float(node.outputs[0]) || !weights || !lowering.shape(node.input(0)) ||
      !lowering.shape(node.outputs[0]))
    return false;
  const auto geometry = geometry_of(lowering, node, *weights);
  if (!geometry) return false;
  return lower_integer(lowering, id, *geometry) || lower_float(lowering, id, *geometry);
}

}  // namespace lathe
