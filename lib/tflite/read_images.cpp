// Convolutions, pools and what else reads images.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ir/error.h"
#include "tflite/operator_readers.h"

namespace lathe {
namespace {

using Pair = std::array<int64_t, 2>;  // height, width

std::vector<int64_t> listed(Pair pair) { return {pair[0], pair[1]}; }

Pair positive(int64_t height, int64_t width, std::string_view what) {
  if (height < 1 || width < 1 || height > (1 << 20) || width > (1 << 20))
    throw bad_operator(fmt::format("{} of {}x{}", what, height, width));
  return {height, width};
}

const Shape& image(const OperatorCall& call, size_t i = 0) {
  const Shape& shape = call.graph.shape(call.input(i));
  if (shape.size() != 4) throw bad_operator("it reads an image, which has four dimensions");
  return shape;
}

struct Window {
  Pair kernel;
  Pair stride;
  Pair dilation{1, 1};
  tfl::Padding padding = tfl::Padding::VALID;
};

// pads as ONNX lists them: before both, then behind both.
std::vector<int64_t> pads(const Shape& shape, const Window& window) {
  if (window.padding == tfl::Padding::VALID) return {0, 0, 0, 0};
  if (window.padding != tfl::Padding::SAME) throw bad_operator("a padding that is not known");
  std::vector<int64_t> result(4);
  for (size_t i = 0; i < 2; ++i) {
    const int64_t size = shape[i + 1];
    if (size < 0) throw bad_operator("padding SAME of a free size: give it by --input-shape");
    const int64_t out = (size + window.stride[i] - 1) / window.stride[i];
    const int64_t reach = (window.kernel[i] - 1) * window.dilation[i] + 1;
    const int64_t total = std::max<int64_t>(0, (out - 1) * window.stride[i] + reach - size);
    result[i] = total / 2;
    result[i + 2] = total - total / 2;
  }
  return result;
}

template <class Options>
Window window_of(const Options& options, const Shape& filter) {
  Window window;
  window.kernel = positive(filter[1], filter[2], "a filter");
  window.stride = positive(options.stride_h(), options.stride_w(), "strides");
  window.dilation = positive(options.dilation_h(), options.dilation_w(), "dilations");
  window.padding = options.padding();
  return window;
}

Attributes attributes_of(const Shape& shape, const Window& window) {
  Attributes attributes;
  attributes.set("kernel_shape", listed(window.kernel));
  attributes.set("strides", listed(window.stride));
  if (window.dilation != Pair{1, 1}) attributes.set("dilations", listed(window.dilation));
  attributes.set("pads", pads(shape, window));
  return attributes;
}

void finish(const OperatorCall& call, OpKind kind, std::vector<ValueId> inputs,
            Attributes attributes, tfl::Activation activation) {
  if (!inputs.back().valid()) inputs.pop_back();
  const ValueId made = call.graph.add(kind, std::move(inputs), call.output_name() + "_float",
                                      std::move(attributes));
  call.graph.produce(call.outputs[0], Layout::kChannelsFirst,
                     activated(call.graph, made, activation));
}

void conv(const OperatorCall& call) {
  const auto& options = call.options<tfl::Conv2DOptions>();
  const Shape& in = image(call);
  const Shape& filter = image(call, 1);
  const Window window = window_of(options, filter);
  if (filter[3] < 1 || in[3] < 1 || in[3] % filter[3] != 0)
    throw bad_operator(fmt::format("{} channels by a filter of {}", in[3], filter[3]));
  note_hybrid(call);
  Attributes attributes = attributes_of(in, window);
  if (in[3] != filter[3]) attributes.set("group", in[3] / filter[3]);
  finish(call, OpKind::kConv,
         {call.graph.real(call.input(0), Layout::kChannelsFirst),
          call.graph.weight(call.input(1), {0, 3, 1, 2},
                            {filter[0], filter[3], filter[1], filter[2]}, 0),
          read_bias(call, 2, 0)},
         std::move(attributes), options.activation());
}

void depthwise(const OperatorCall& call) {
  const auto& options = call.options<tfl::DepthwiseConv2DOptions>();
  const Shape& in = image(call);
  const Shape& filter = image(call, 1);
  const Window window = window_of(options, filter);
  if (filter[0] != 1 || in[3] < 1 || filter[3] % in[3] != 0)
    throw bad_operator(fmt::format("{} channels by a filter of {}", in[3], shape_text(filter)));
  Attributes attributes = attributes_of(in, window);
  attributes.set("group", in[3]);
  finish(call, OpKind::kConv,
         {call.graph.real(call.input(0), Layout::kChannelsFirst),
          call.graph.weight(call.input(1), {3, 0, 1, 2}, {filter[3], 1, filter[1], filter[2]}, 0),
          read_bias(call, 2, 0)},
         std::move(attributes), options.activation());
}

// The output's size is an operand; what the window makes more is cut off, half of it before.
void transpose_conv(const OperatorCall& call) {
  const auto& options = call.options<tfl::TransposeConvOptions>();
  const std::vector<int64_t> out = call.graph.integers(call.input(0), "the output's shape");
  const Shape& in = image(call, 2);
  const Shape& filter = image(call, 1);
  const Pair kernel = positive(filter[1], filter[2], "a filter");
  const Pair stride = positive(options.stride_h(), options.stride_w(), "strides");
  if (out.size() != 4 || in[3] != filter[3])
    throw bad_operator(fmt::format("{} channels by a filter of {}", in[3], shape_text(filter)));
  std::vector<int64_t> cut(4);
  std::vector<int64_t> more(2);
  for (size_t i = 0; i < 2; ++i) {
    if (in[i + 1] < 1 || out[i + 1] < 1) throw bad_operator("sizes must be known");
    const int64_t total = (in[i + 1] - 1) * stride[i] + kernel[i] - out[i + 1];
    more[i] = std::max<int64_t>(0, -total);
    if (more[i] >= stride[i])
      throw bad_operator(fmt::format("an output of {} from {}", out[i + 1], in[i + 1]));
    // LiteRT computes the input's size from the output's and wants it to be the same.
    const bool same = options.padding() == tfl::Padding::SAME;
    if ((out[i + 1] + stride[i] - (same ? 1 : kernel[i])) / stride[i] != in[i + 1])
      throw bad_operator(fmt::format("an output of {} from {}", out[i + 1], in[i + 1]));
    cut[i] = std::max<int64_t>(0, total) / 2;
    cut[i + 2] = std::max<int64_t>(0, total) - cut[i];
  }
  Attributes attributes;
  attributes.set("kernel_shape", listed(kernel));
  attributes.set("strides", listed(stride));
  attributes.set("pads", cut);
  if (more[0] + more[1] > 0) attributes.set("output_padding", more);
  finish(call, OpKind::kConvTranspose,
         {call.graph.real(call.input(2), Layout::kChannelsFirst),
          call.graph.weight(call.input(1), {3, 0, 1, 2},
                            {filter[3], filter[0], filter[1], filter[2]}, 1),
          read_bias(call, 3, 2)},
         std::move(attributes), options.activation());
}

void pool(const OperatorCall& call) {
  const auto& options = call.options<tfl::Pool2DOptions>();
  Window window;
  window.kernel = positive(options.filter_height(), options.filter_width(), "a window");
  window.stride = positive(options.stride_h(), options.stride_w(), "strides");
  window.padding = options.padding();
  finish(call,
         call.operation == tfl::Operation::MAX_POOL_2D ? OpKind::kMaxPool : OpKind::kAveragePool,
         {call.graph.real(call.input(0), Layout::kChannelsFirst)},
         attributes_of(image(call), window), options.activation());
}

void resize(const OperatorCall& call) {
  image(call);
  const std::vector<int64_t> size = call.graph.integers(call.input(1), "the new size");
  if (size.size() != 2) throw bad_operator("the new size must be two numbers");
  const Pair to = positive(size[0], size[1], "a size");
  const Shape& in = call.graph.shape(call.input(0));
  const bool nearest = call.operation == tfl::Operation::RESIZE_NEAREST_NEIGHBOR;
  bool corners = false;
  bool centers = false;
  if (nearest) {
    const auto& options = call.options<tfl::ResizeNearestNeighborOptions>();
    corners = options.align_corners();
    centers = options.half_pixel_centers();
  } else {
    const auto& options = call.options<tfl::ResizeBilinearOptions>();
    corners = options.align_corners();
    centers = options.half_pixel_centers();
  }
  Attributes attributes;
  attributes.set("mode", std::string(nearest ? "nearest" : "linear"));
  attributes.set("coordinate_transformation_mode",
                 std::string(corners   ? "align_corners"
                             : centers ? (nearest ? "tf_half_pixel_for_nn" : "half_pixel")
                                       : "asymmetric"));
  // Centers are floored, corners are rounded up at halves.
  if (nearest)
    attributes.set("nearest_mode", std::string(corners ? "round_prefer_ceil" : "floor"));
  finish(call, OpKind::kResize,
         {call.graph.real(call.input(0), Layout::kChannelsFirst), ValueId{}, ValueId{},
          call.graph.ints({std::max<int64_t>(in[0], 1), in[3], to[0], to[1]})},
         std::move(attributes), tfl::Activation::NONE);
}

void blocks(const OperatorCall& call) {
  image(call);
  const bool deeper = call.operation == tfl::Operation::SPACE_TO_DEPTH;
  const int64_t size = deeper ? call.options<tfl::SpaceToDepthOptions>().block_size()
                              : call.options<tfl::DepthToSpaceOptions>().block_size();
  Attributes attributes;
  attributes.set("blocksize", positive(size, size, "blocks")[0]);
  finish(call, deeper ? OpKind::kSpaceToDepth : OpKind::kDepthToSpace,
         {call.graph.real(call.input(0), Layout::kChannelsFirst)}, std::move(attributes),
         tfl::Activation::NONE);
}

constexpr OperatorReader kImageReaders[] = {
    {tfl::Operation::CONV_2D, conv},
    {tfl::Operation::DEPTHWISE_CONV_2D, depthwise},
    {tfl::Operation::TRANSPOSE_CONV, transpose_conv},
    {tfl::Operation::AVERAGE_POOL_2D, pool},
    {tfl::Operation::MAX_POOL_2D, pool},
    {tfl::Operation::RESIZE_BILINEAR, resize},
    {tfl::Operation::RESIZE_NEAREST_NEIGHBOR, resize},
    {tfl::Operation::SPACE_TO_DEPTH, blocks},
    {tfl::Operation::DEPTH_TO_SPACE, blocks},
};

}  // namespace

std::span<const OperatorReader> image_readers() { return kImageReaders; }

}  // namespace lathe
