// Convolutions, pools, resize: images lie N, H, W, C; those of one dimension get a height of 1.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/error.h"
#include "ops/op_row.h"
#include "tflite/constants.h"
#include "tflite/node_writers.h"

namespace lathe {
namespace {

constexpr Order kLast = Order::kChannelsLast;

struct Geometry {
  Shape in, out;  // N, C, H, W
  std::vector<int64_t> kernel, stride, dilation, before, behind;
};

// Images of one dimension as such of height 1.
Shape two_dimensions(Shape shape) {
  if (shape.size() == 3) shape.insert(shape.begin() + 2, 1);
  if (shape.size() != 4) throw no_tflite_form("only images of one or two dimensions are written");
  return shape;
}

std::vector<int64_t> both(std::vector<int64_t> values, int64_t fill) {
  if (values.size() == 1) values.insert(values.begin(), fill);
  return values;
}

Geometry geometry_of(const GraphWriter& writer, const Node& node, std::vector<int64_t> kernel) {
  Geometry g;
  g.in = two_dimensions(writer.shape(node.input(0)));
  g.out = two_dimensions(writer.shape(node.output(0)));
  const std::vector<int64_t> ones(kernel.size(), 1);
  g.kernel = both(kernel, 1);
  g.stride = both(node.attributes.ints_or("strides", ones), 1);
  g.dilation = both(node.attributes.ints_or("dilations", ones), 1);
  std::vector<int64_t> pads =
      node.attributes.ints_or("pads", std::vector<int64_t>(2 * kernel.size(), 0));
  if (kernel.size() == 1) pads = {0, pads[0], 0, pads[1]};
  const std::string automatic = node.attributes.string_or("auto_pad", "NOTSET");
  for (size_t i = 0; i < 2; ++i) {
    const int64_t reach = (g.kernel[i] - 1) * g.dilation[i] + 1;
    const int64_t total =
        std::max<int64_t>(0, (g.out[i + 2] - 1) * g.stride[i] + reach - g.in[i + 2]);
    int64_t first = pads[i];
    if (automatic == "SAME_UPPER") first = total / 2;
    if (automatic == "SAME_LOWER") first = total - total / 2;
    if (automatic == "VALID") first = 0;
    g.before.push_back(first);
    g.behind.push_back(std::max<int64_t>(0, total - first));
  }
  return g;
}

// nullopt: what is beside the image must be written out.
std::optional<tfl::Padding> padding_of(const Geometry& g) {
  if (g.before == std::vector<int64_t>{0, 0} && g.behind == std::vector<int64_t>{0, 0})
    return tfl::Padding::VALID;
  for (size_t i = 0; i < 2; ++i) {
    const int64_t total = g.before[i] + g.behind[i];
    if (g.out[i + 2] != (g.in[i + 2] + g.stride[i] - 1) / g.stride[i] || g.before[i] != total / 2)
      return std::nullopt;
  }
  return tfl::Padding::SAME;
}

// An image of one dimension with its height.
TensorIndex high(GraphWriter& writer, TensorIndex tensor) {
  Shape shape = writer.file.shape(tensor);
  if (shape.size() == 4) return tensor;
  shape.insert(shape.begin() + 1, 1);
  return writer.file.reshaped(tensor, shape, writer.file.name(tensor) + "_high");
}

// Zeros (of integers: the zero point) around it, or the least number that there is.
TensorIndex padded(GraphWriter& writer, TensorIndex tensor, const Geometry& g, bool least) {
  if (g.before == std::vector<int64_t>{0, 0} && g.behind == std::vector<int64_t>{0, 0})
    return tensor;
  Shape shape = writer.file.shape(tensor);
  std::vector<int32_t> pads(8, 0);
  for (size_t i = 0; i < 2; ++i) {
    pads[2 * (i + 1)] = static_cast<int32_t>(g.before[i]);
    pads[2 * (i + 1) + 1] = static_cast<int32_t>(g.behind[i]);
    shape[i + 1] += g.before[i] + g.behind[i];
  }
  const std::string name = writer.file.name(tensor) + "_padded";
  const TensorIndex made = writer.file.add_like(tensor, shape, name);
  const TensorIndex amounts =
      writer.file.add_constant(name + "_by", Tensor::of<int32_t>({4, 2}, pads));
  if (!least) {
    writer.file.add_operator(tfl::Operation::PAD, 2, {tensor, amounts}, {made});
    return made;
  }
  const TensorIndex low =
      writer.file.add_number_like(tensor, std::numeric_limits<float>::lowest(), "least");
  writer.file.add_operator(tfl::Operation::PADV2, 2, {tensor, amounts, low}, {made});
  return made;
}

// Runs `write(output tensor)`; one-dimensional outputs lose their height behind it.
template <class Write>
void end_image(GraphWriter& writer, const Ending& ending, const Write& write) {
  const TensorIndex made = writer.open(ending, kLast);
  Shape shape = writer.file.shape(made);
  if (shape.size() == 4) {
    write(made);
    writer.close(ending, kLast, made);
    return;
  }
  shape.insert(shape.begin() + 1, 1);
  const TensorIndex tall = writer.file.add_like(made, shape, writer.file.name(made) + "_high");
  write(tall);
  shape.erase(shape.begin() + 1);
  writer.close(ending, kLast, writer.file.reshaped(tall, shape, writer.file.name(made)));
}

Ending ending_of(GraphWriter& writer, const Node& node, int64_t axis, bool& integers) {
  const auto found = integer_ending(writer, node, node.output(0), axis);
  integers = found.has_value();
  if (!integers) writer.note_floats(node);
  return integers ? *found : *writer.ending(node.output(0), false);
}

void write_conv(GraphWriter& writer, const Node& node) {
  const Shape weight = two_dimensions(writer.shape(node.input(1)));
  const Shape own = writer.shape(node.input(1));
  const Geometry g = geometry_of(writer, node, {own.begin() + 2, own.end()});
  const int64_t groups = node.attributes.int_or("group", 1);
  const bool depthwise = groups > 1 && weight[1] == 1 && groups == g.in[1];
  bool integers = false;
  const Ending ending = ending_of(writer, node, 0, integers);
  const bool line = own.size() == 3;
  const std::vector<size_t> dims = depthwise ? (line ? std::vector<size_t>{1, 2, 0}
                                                     : std::vector<size_t>{1, 2, 3, 0})
                                             : (line ? std::vector<size_t>{0, 2, 1}
                                                     : std::vector<size_t>{0, 2, 3, 1});
  const Shape shape = depthwise ? Shape{1, weight[2], weight[3], weight[0]}
                                : Shape{weight[0], weight[2], weight[3], weight[1]};
  const FileWeight filter =
      write_weight(writer, node, 1, 0, dims, shape, depthwise ? 3 : 0, integers);
  const TensorIndex bias =
      write_bias(writer, node.input(2), weight[0], filter, writer.params(node.input(0)));
  TensorIndex input = high(writer, integers ? writer.integers(node.input(0), kLast)
                                            : writer.real(node.input(0), kLast));
  std::optional<tfl::Padding> padding = padding_of(g);
  if (!padding) {
    input = padded(writer, input, g, false);
    padding = tfl::Padding::VALID;
  }
  const auto fill = [&](auto& options) {
    options.padding = *padding;
    options.stride_h = static_cast<int32_t>(g.stride[0]);
    options.stride_w = static_cast<int32_t>(g.stride[1]);
    options.dilation_h = static_cast<int32_t>(g.dilation[0]);
    options.dilation_w = static_cast<int32_t>(g.dilation[1]);
    options.activation = ending.activation;
  };
  const int version = integers ? 3 : g.dilation == std::vector<int64_t>{1, 1} ? 1 : 2;
  end_image(writer, ending, [&](TensorIndex made) {
    if (depthwise) {
      tfl::DepthwiseConv2DOptionsT options;
      fill(options);
      options.depth_multiplier = static_cast<int32_t>(weight[0] / groups);
      writer.file.add_operator(tfl::Operation::DEPTHWISE_CONV_2D, version,
                               {input, filter.tensor, bias}, {made}, std::move(options));
    } else {
      tfl::Conv2DOptionsT options;
      fill(options);
      writer.file.add_operator(tfl::Operation::CONV_2D, groups > 1 ? 6 : version,
                               {input, filter.tensor, bias}, {made}, std::move(options));
    }
  });
}

// What a transposed convolution makes too much, and how that is said.
struct OutputCut {
  tfl::Padding padding = tfl::Padding::VALID;
  bool is_apart = false;  // by a SLICE behind it
  std::vector<int64_t> before;
};

OutputCut cut_of(const Node& node, const Geometry& g) {
  const std::vector<int64_t> pads = node.attributes.ints_or("pads", {0, 0, 0, 0});
  const std::string automatic = node.attributes.string_or("auto_pad", "NOTSET");
  const bool sized = node.attributes.has("output_shape");
  OutputCut cut;
  bool valid = true, same = true;
  for (size_t i = 0; i < 2; ++i) {
    const int64_t total = (g.in[i + 2] - 1) * g.stride[i] + g.kernel[i] - g.out[i + 2];
    const int64_t half = std::max<int64_t>(total, 0) / 2;
    int64_t first = automatic == "NOTSET" && !sized ? pads[i] : half;
    if (automatic == "SAME_LOWER" || (sized && automatic != "SAME_UPPER"))
      first = std::max<int64_t>(total, 0) - half;
    cut.before.push_back(first);
    // LiteRT computes the input's size from the output's and wants it to be the same.
    valid = valid && total <= 0 && -total < g.stride[i] && first == 0;
    same = same && first == half && total >= 0 &&
           (g.out[i + 2] + g.stride[i] - 1) / g.stride[i] == g.in[i + 2];
    cut.is_apart = cut.is_apart || total < first;
  }
  if (valid) return {tfl::Padding::VALID, false, cut.before};
  if (same) return {tfl::Padding::SAME, false, cut.before};
  if (cut.is_apart) throw no_tflite_form("a transposed convolution that cuts and pads its output");
  cut.is_apart = true;
  return cut;
}

void write_conv_transpose(GraphWriter& writer, const Node& node) {
  const Shape weight = writer.shape(node.input(1));
  if (weight.size() != 4 || node.attributes.int_or("group", 1) != 1)
    throw no_tflite_form("only transposed convolutions of images in one group are written");
  const Geometry g = geometry_of(writer, node, {weight[2], weight[3]});
  if (g.dilation != std::vector<int64_t>{1, 1})
    throw no_tflite_form("transposed convolutions have no dilation there");
  const OutputCut cut = cut_of(node, g);
  bool integers = false;
  const Ending ending = ending_of(writer, node, 1, integers);
  const FileWeight filter = write_weight(writer, node, 1, 1, {1, 2, 3, 0},
                                         {weight[1], weight[2], weight[3], weight[0]}, 0, integers);
  const TensorIndex bias =
      write_bias(writer, node.input(2), weight[1], filter, writer.params(node.input(0)));
  const TensorIndex input = integers ? writer.integers(node.input(0), kLast)
                                     : writer.real(node.input(0), kLast);
  end_image(writer, ending, [&](TensorIndex made) {
    TensorIndex whole = made;
    if (cut.is_apart) {
      Shape shape = writer.file.shape(made);
      for (size_t i = 0; i < 2; ++i) shape[i + 1] = (g.in[i + 2] - 1) * g.stride[i] + g.kernel[i];
      whole = writer.file.add_like(made, shape, writer.file.name(made) + "_whole");
    }
    tfl::TransposeConvOptionsT options;
    options.padding = cut.padding;
    options.stride_h = static_cast<int32_t>(g.stride[0]);
    options.stride_w = static_cast<int32_t>(g.stride[1]);
    options.activation = ending.activation;
    writer.file.add_operator(
        tfl::Operation::TRANSPOSE_CONV, ending.activation == tfl::Activation::NONE ? 3 : 4,
        {writer.file.add_int32("size", writer.file.shape(whole)), filter.tensor, input, bias},
        {whole}, std::move(options));
    if (cut.is_apart)
      writer.file.add_operator(
          tfl::Operation::SLICE, integers ? 2 : 1,
          {whole, writer.file.add_int32("start", {0, cut.before[0], cut.before[1], 0}),
           writer.file.add_int32("size", writer.file.shape(made))},
          {made});
  });
}

// The output has the input's parameters: pools choose and average, they do not scale.
Ending as_input(GraphWriter& writer, const Node& node) {
  return {node.output(0), writer.params(node.input(0))};
}

void write_pool_of(GraphWriter& writer, const Node& node, const Geometry& g, bool largest) {
  const Ending ending = as_input(writer, node);
  TensorIndex input = high(writer, writer.either(node.input(0), kLast));
  std::optional<tfl::Padding> padding = padding_of(g);
  const bool counts_padding = node.attributes.int_or("count_include_pad", 0) != 0;
  if (!largest && counts_padding) {
    const std::vector<int64_t> pads = node.attributes.ints_or("pads", {});
    const bool reaches = !pads.empty() && g.behind.back() <= pads.back() &&
                         g.behind.front() <= pads[pads.size() / 2];
    if (!reaches && g.behind != std::vector<int64_t>{0, 0})
      throw no_tflite_form("an average whose windows reach beyond the padding (ceil_mode)");
    if (padding == tfl::Padding::SAME) padding.reset();
  }
  if (!padding) {
    if (!largest && !counts_padding)
      throw no_tflite_form("an average over windows that reach out of the image unevenly");
    input = padded(writer, input, g, largest);
    padding = tfl::Padding::VALID;
  }
  end_image(writer, ending, [&](TensorIndex made) {
    tfl::Pool2DOptionsT options;
    options.padding = *padding;
    options.stride_h = static_cast<int32_t>(g.stride[0]);
    options.stride_w = static_cast<int32_t>(g.stride[1]);
    options.filter_height = static_cast<int32_t>(g.kernel[0]);
    options.filter_width = static_cast<int32_t>(g.kernel[1]);
    writer.file.add_operator(
        largest ? tfl::Operation::MAX_POOL_2D : tfl::Operation::AVERAGE_POOL_2D,
        ending.params ? 2 : 1, {input}, {made}, std::move(options));
  });
}

void write_pool(GraphWriter& writer, const Node& node) {
  const Geometry g = geometry_of(writer, node, node.attributes.required_ints("kernel_shape"));
  if (g.dilation != std::vector<int64_t>{1, 1} || node.output(1).valid())
    throw no_tflite_form("pools have no dilation and no indices there");
  write_pool_of(writer, node, g, node.kind == OpKind::kMaxPool);
}

void write_global_pool(GraphWriter& writer, const Node& node) {
  const Shape in = writer.shape(node.input(0));
  // A pool keeps the scale of what it reads.
  const auto ending = writer.params(node.input(0)) ? writer.ending(node.output(0), true)
                                                   : std::optional<Ending>();
  if (node.kind == OpKind::kGlobalAveragePool && ending &&
      ending->params != writer.params(node.input(0))) {
    write_mean(writer, node, in.size() == 3 ? std::vector<int64_t>{2} : std::vector<int64_t>{2, 3},
               true);
    return;
  }
  const Geometry g = geometry_of(writer, node, {in.begin() + 2, in.end()});
  write_pool_of(writer, node, g, node.kind == OpKind::kGlobalMaxPool);
}

struct ResizeForm {
  bool corners = false;
  bool centers = false;
};

// Of a whole factor the sampled positions never lie between two pixels.
bool is_whole(const Shape& in, const Shape& out) {
  return out[2] % in[2] == 0 && out[3] % in[3] == 0;
}

ResizeForm resize_form(const Node& node, const Shape& in, const Shape& out, bool nearest) {
  const std::string where =
      node.attributes.string_or("coordinate_transformation_mode", "half_pixel");
  const std::string rounding = node.attributes.string_or("nearest_mode", "round_prefer_floor");
  const bool centered = where == "half_pixel" ||
                        (where == "pytorch_half_pixel" && out[2] > 1 && out[3] > 1);
  if (!nearest) {
    if (where == "align_corners") return {true, false};
    if (centered) return {false, true};
    if (where == "asymmetric") return {};
  } else {
    if (where == "asymmetric" && rounding == "floor") return {};
    if (where == "tf_half_pixel_for_nn" && rounding == "floor") return {false, true};
    if (centered && (rounding == "round_prefer_ceil" ||
                     (rounding == "round_prefer_floor" && is_whole(in, out))))
      return {false, true};
    if (where == "align_corners" && rounding == "round_prefer_ceil") return {true, false};
  }
  throw no_tflite_form(fmt::format("resizing with {} and {} has no form there",
                                   escape_untrusted(where, 40), escape_untrusted(rounding, 40)));
}

void write_resize(GraphWriter& writer, const Node& node) {
  const Shape in = writer.shape(node.input(0));
  const Shape out = writer.shape(node.output(0));
  const std::string mode = node.attributes.string_or("mode", "nearest");
  const bool nearest = mode == "nearest";
  if (in.size() != 4 || in[1] != out[1] || in[0] != out[0] || (!nearest && mode != "linear") ||
      node.attributes.int_or("antialias", 0) != 0)
    throw no_tflite_form("only images are resized there, to the nearest pixel or linearly");
  if (const auto scales = real_constant(writer.graph, node.input(2)); scales && scales->numel() > 0)
    for (size_t i = 0; i < scales->values<float>().size(); ++i)
      if (std::abs(static_cast<double>(scales->values<float>()[i]) * static_cast<double>(in[i]) -
                   static_cast<double>(out[i])) > 1e-3)
        throw no_tflite_form("a scale that is not that of the sizes");
  const ResizeForm form = resize_form(node, in, out, nearest);
  const Ending ending = as_input(writer, node);
  const TensorIndex input = writer.either(node.input(0), kLast);
  const TensorIndex size = writer.file.add_int32("size", {out[2], out[3]});
  end_image(writer, ending, [&](TensorIndex made) {
    const auto add = [&](auto options, tfl::Operation operation) {
      options.align_corners = form.corners;
      options.half_pixel_centers = form.centers;
      writer.file.add_operator(operation, form.centers ? 3 : ending.params ? 2 : 1, {input, size},
                               {made}, std::move(options));
    };
    if (nearest)
      add(tfl::ResizeNearestNeighborOptionsT(), tfl::Operation::RESIZE_NEAREST_NEIGHBOR);
    else
      add(tfl::ResizeBilinearOptionsT(), tfl::Operation::RESIZE_BILINEAR);
  });
}

void write_blocks(GraphWriter& writer, const Node& node) {
  if (node.kind == OpKind::kDepthToSpace && node.attributes.string_or("mode", "DCR") != "DCR")
    throw no_tflite_form("blocks whose channels come first (CRD) have no form there");
  const auto size = static_cast<int32_t>(node.attributes.required_int("blocksize"));
  const Ending ending = as_input(writer, node);
  const TensorIndex input = writer.either(node.input(0), kLast);
  end_image(writer, ending, [&](TensorIndex made) {
    const auto add = [&](auto options, tfl::Operation operation) {
      options.block_size = size;
      writer.file.add_operator(operation, 1, {input}, {made}, std::move(options));
    };
    if (node.kind == OpKind::kDepthToSpace)
      add(tfl::DepthToSpaceOptionsT(), tfl::Operation::DEPTH_TO_SPACE);
    else
      add(tfl::SpaceToDepthOptionsT(), tfl::Operation::SPACE_TO_DEPTH);
  });
}

constexpr NodeWriter kImageWriters[] = {
    {OpKind::kConv, write_conv},
    {OpKind::kConvTranspose, write_conv_transpose},
    {OpKind::kAveragePool, write_pool},
    {OpKind::kMaxPool, write_pool},
    {OpKind::kGlobalAveragePool, write_global_pool},
    {OpKind::kGlobalMaxPool, write_global_pool},
    {OpKind::kResize, write_resize},
    {OpKind::kDepthToSpace, write_blocks},
    {OpKind::kSpaceToDepth, write_blocks},
};

}  // namespace

std::span<const NodeWriter> image_writers() { return kImageWriters; }

}  // namespace lathe
