// Resize of the spatial axes of images, nearest and linear.
#include <algorithm>
#include <cmath>

#include "lower/lowering.h"
#include "run/interpreter.h"

namespace lathe {
namespace {

/// Source positions of the outputs along `axis`: the node itself, on an image whose pixels are
/// their own coordinates. Linear interpolation of a ramp is exact but for rounding.
std::vector<float> positions(const Lowering& lowering, NodeId id, size_t axis, int64_t input) {
  const Graph& graph = lowering.graph;
  const Node& node = graph.node(id);
  Shape shape = *lowering.shape(node.input(0));
  shape[0] = shape[1] = 1;
  std::vector<float> ramp(static_cast<size_t>(element_count(shape)));
  for (size_t i = 0; i < ramp.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    ramp[i] = static_cast<float>(axis == 2 ? at / shape[3] : at % shape[3]);
  }
  // Sizes would name the batch and the channels that the image does not have.
  Graph part = extract_part(graph, {id}, {node.input(0)}, {node.outputs[0]});
  part.edit_type(part.inputs()[0]).dims = dims_of(shape);
  const NodeId copy = part.node_ids().front();
  if (const Tensor* sizes = part.constant(part.node(copy).input(3))) {
    std::vector<int64_t> wanted = sizes->to_int64();
    wanted[0] = wanted[1] = 1;
    part.set_constant(part.node(copy).input(3), Tensor::vector(wanted));
  }
  const Tensor result = Interpreter(part).run_tensors({Tensor::of(shape, ramp)}).at(0);
  const auto values = result.values<float>();
  const int64_t width = result.shape()[3];
  const int64_t count = result.shape()[axis];
  std::vector<float> found;
  for (int64_t i = 0; i < count; ++i)
    found.push_back(std::clamp(values[static_cast<size_t>(axis == 2 ? i * width : i)], 0.0F,
                               static_cast<float>(input - 1)));
  return found;
}

void fill_axis(const std::vector<float>& positions, int64_t input, std::vector<int32_t>& first,
               std::vector<int32_t>& second, std::vector<float>& weight) {
  for (const float position : positions) {
    const float below = std::floor(position);
    first.push_back(static_cast<int32_t>(below));
    second.push_back(std::min(first.back() + 1, static_cast<int32_t>(input - 1)));
    weight.push_back(position - below);
  }
}

}  // namespace

bool lower_resize(Lowering& lowering, NodeId id) {
  const Node& node = lowering.graph.node(id);
  const Attributes& attributes = node.attributes;
  const auto from = lowering.shape(node.input(0));
  const auto shape = lowering.shape(node.outputs[0]);
  const std::string mode = attributes.string_or("mode", "nearest");
  if (!from || !shape || from->size() != 4 || (*from)[0] != (*shape)[0] ||
      (*from)[1] != (*shape)[1] || element_count(*shape) == 0 || element_count(*from) == 0 ||
      !lowering.is_float(node.input(0)) || (mode != "nearest" && mode != "linear") ||
      attributes.has("axes") || attributes.int_or("antialias", 0) != 0 ||
      attributes.int_or("exclude_outside", 0) != 0 ||
      attributes.string_or("coordinate_transformation_mode", "half_pixel") ==
          "tf_crop_and_resize" ||
      attributes.string_or("keep_aspect_ratio_policy", "stretch") != "stretch")
    return false;
  for (const size_t i : {size_t{2}, size_t{3}})
    if (node.input(i).valid() && !lowering.graph.constant(node.input(i))) return false;
  const ViewId integers =
      lowering.has_real(node.input(0)) ? ViewId{} : lowering.integers(node.input(0));
  // Interpolated integers are real numbers.
  const bool quantized = integers.valid() && mode == "nearest";
  ResizeStep step;
  fill_axis(positions(lowering, id, 2, (*from)[2]), (*from)[2], step.row_first, step.row_second,
            step.row_weight);
  fill_axis(positions(lowering, id, 3, (*from)[3]), (*from)[3], step.column_first,
            step.column_second, step.column_weight);
  if (mode == "nearest") {
    // A ramp through float arithmetic: whole numbers.
    step.row_weight.clear();
    step.column_weight.clear();
  }
  step.input = lowering.pixels_of(quantized ? integers : lowering.real(node.input(0)));
  std::optional<ScaleZeroPoint> params;
  if (quantized) params = params_of(lowering.build.view(step.input));
  step.output = lowering.add_output(node.outputs[0], *shape, channels_last_order(4), params);
  lowering.add_step({id}, std::move(step));
  return true;
}

}  // namespace lathe
