// Products of 8-bit integers: kernels/product.c and kernels/depthwise.c.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "c99/c_text.h"
#include "c99/code_context.h"
#include "ir/error.h"

namespace lathe {
namespace {

int64_t up_to_four(int64_t count) { return (count + 3) / 4 * 4; }

struct ProductSizes {
  int64_t taps = 1, depth = 1, columns = 1, length = 4;
  bool is_plain = false;  // pixels are read where they lie
};

ProductSizes sizes_of(const NativePlan& plan, const ProductStep& step) {
  const Shape& weights = view_of(plan, step.weights).shape;  // groups * columns, taps, depth
  ProductSizes sizes;
  sizes.taps = weights[1];
  sizes.depth = weights[2];
  sizes.columns = weights[0] / step.groups;
  sizes.length = up_to_four(sizes.taps * sizes.depth);
  const Pixels in = pixels_of(view_of(plan, step.input), step.axis);
  const Pixels out = pixels_of(view_of(plan, step.output), step.axis);
  const PlanWindow& w = step.window;
  const bool is_inside = w.pad_top == 0 && w.pad_left == 0 &&
                         (out.height - 1) * w.stride_height < in.height &&
                         (out.width - 1) * w.stride_width < in.width;
  sizes.is_plain = sizes.taps == 1 && sizes.depth % 4 == 0 && is_inside && in.channel == 1;
  return sizes;
}

// The first element that the window at an output pixel reads, the first tap inside the image.
int64_t first_read(const Pixels& in, const PlanWindow& w, int64_t oy, int64_t ox) {
  const auto inside = [](int64_t at, int64_t dilation) {
    return at < 0 ? at + (-at + dilation - 1) / dilation * dilation : at;
  };
  const int64_t y = inside(oy * w.stride_height - w.pad_top, w.dilation_height);
  const int64_t x = inside(ox * w.stride_width - w.pad_left, w.dilation_width);
  // Below or right of it: nothing is read, and what follows lies further behind.
  return std::min(y, in.height - 1) * in.row + std::min(x, in.width - 1) * in.pixel;
}

// Pixels are read and written in order, `unit` of them at a time; what lies in front of what is
// still to be read may be written.
int64_t lead_of(const Pixels& in, const Pixels& out, const PlanWindow& window, int64_t unit,
                int64_t out_bytes) {
  const int64_t pixels = out.height * out.width;
  std::vector<int64_t> read(static_cast<size_t>(pixels + 1), std::numeric_limits<int64_t>::max());
  for (int64_t p = pixels - 1; p >= 0; --p)
    read[static_cast<size_t>(p)] =
        std::min(read[static_cast<size_t>(p + 1)],
                 first_read(in, window, p / out.width, p % out.width));
  int64_t lead = std::numeric_limits<int64_t>::min() / 4;
  int64_t written = 0;
  for (int64_t p = 0; p < pixels; p += unit) {
    const int64_t last = std::min(p + unit, pixels) - 1;
    written = std::max(written, (last / out.width) * out.row + (last % out.width) * out.pixel +
                                    out.channels);
    const int64_t next = std::min(p + unit, pixels);
    if (next < pixels)
      lead = std::max(lead, written * out_bytes - read[static_cast<size_t>(next)]);
  }
  return std::max(lead, -in.row * in.height);
}

// Rows begin with a word. Results are made by twos or fours: behind the last row's end numbers are
// read that mean nothing.
int64_t frame_width(int64_t width) { return (width + 1) / 2 * 2; }
int64_t read_beyond(const PlanWindow& w, int64_t out_width, int64_t frame) {
  const int64_t fours = ((out_width + 3) / 4 * 4 - 1) * w.stride_width +
                        (w.kernel_width - 1) * w.dilation_width;
  // kernels/depthwise.c: words under 3 x 3, of two results.
  const int64_t twos = (out_width - 1) / 2 * 2 * w.stride_width + 2 * w.stride_width + 1;
  return std::max<int64_t>(0, std::max(fours, twos) + 1 - frame);
}

struct Terms {
  std::vector<float> scale;
  std::vector<int32_t> bias;
  int32_t zero = 0;
};

// `weights`: `length` numbers a column.
Terms terms_of(const CodeContext& code, const PlanStep& step, ViewId scale, ViewId bias,
               float zero_point, const std::vector<int8_t>& weights, size_t length) {
  Terms terms{code.values<float>(scale), code.values<int32_t>(bias),
              static_cast<int32_t>(zero_point)};
  for (size_t c = 0; c < terms.scale.size(); ++c) {
    double most = std::fabs(static_cast<double>(terms.bias[c]));
    for (size_t i = 0; i < length; ++i) most += 255.0 * std::abs(int{weights[c * length + i]});
    if (!(most < 2147483647.0))
      refuse_step(step, fmt::format("sums of channel {} may exceed 32 bits: {:.3g}", c, most));
    if (const double far = most * double{terms.scale[c]}; !(far < kMostRounded))
      refuse_step(step,
                  fmt::format("results of channel {} may be {:.3g} steps from zero", c, far));
  }
  return terms;
}

// Where the kernel's numbers lie, as far as it is inside the image; none where rows of it are long
// enough to be copied as they are.
std::vector<int32_t> offsets_of(const ProductSizes& sizes, const PlanWindow& window,
                                const Pixels& in) {
  constexpr int64_t kLongRow = 16;
  std::vector<int32_t> offsets;
  const bool is_in_rows = in.channel == 1 && in.pixel * window.dilation_width == sizes.depth;
  if (sizes.is_plain || (is_in_rows && sizes.depth * window.kernel_width >= kLongRow) ||
      (in.channel == 1 && sizes.depth >= kLongRow))
    return offsets;
  for (int64_t tap = 0; tap < sizes.taps; ++tap)
    for (int64_t c = 0; c < sizes.depth; ++c)
      offsets.push_back(static_cast<int32_t>(
          tap / window.kernel_width * window.dilation_height * in.row +
          tap % window.kernel_width * window.dilation_width * in.pixel + c * in.channel));
  offsets.resize(static_cast<size_t>(sizes.length));
  return offsets;
}

std::vector<FixedPoint> fixed_points(const CodeContext& code, const PlanEpilogue& epilogue) {
  std::vector<FixedPoint> points;
  for (const double scale : code.values<double>(epilogue.real_scale))
    points.push_back(fixed_point(scale));
  return points;
}

// Pairs of columns, four numbers of the one before four of the other.
std::vector<int8_t> in_pairs(const std::vector<int8_t>& weights, const ProductSizes& sizes,
                             int64_t groups) {
  const int64_t row = sizes.taps * sizes.depth;
  const int64_t pairs = (sizes.columns + 1) / 2;
  std::vector<int8_t> packed(static_cast<size_t>(groups * pairs * 2 * sizes.length));
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t c = 0; c < sizes.columns; ++c)
      for (int64_t k = 0; k < row; ++k) {
        const int64_t pair = (g * pairs + c / 2) * 2 * sizes.length;
        const int64_t at = pair + k / 4 * 8 + c % 2 * 4 + k % 4;
        packed[static_cast<size_t>(at)] =
            weights[static_cast<size_t>((g * sizes.columns + c) * row + k)];
      }
  return packed;
}

std::string window_text(const PlanWindow& w) {
  return fmt::format(
      "    .kernel_height = {}, .kernel_width = {}, .stride_height = {}, .stride_width = {},\n"
      "    .dilation_height = {}, .dilation_width = {}, .pad_top = {}, .pad_left = {},\n",
      w.kernel_height, w.kernel_width, w.stride_height, w.stride_width, w.dilation_height,
      w.dilation_width, w.pad_top, w.pad_left);
}

std::string images_text(const Pixels& in, const Pixels& out) {
  return fmt::format(
      "    .in_height = {}, .in_width = {}, .in_row = {}, .in_pixel = {},\n"
      "    .out_height = {}, .out_width = {}, .out_row = {}, .out_pixel = {},\n"
      "    .images = {}, .in_image = {}, .out_image = {},\n",
      in.height, in.width, in.row, in.pixel, out.height, out.width, out.row, out.pixel, out.images,
      in.image, out.image);
}

template <class T>
std::vector<T> evened(const std::vector<T>& values, int64_t groups) {
  const size_t columns = values.size() / static_cast<size_t>(groups);
  if (columns % 2 == 0) return values;
  std::vector<T> even;
  for (size_t i = 0; i < values.size(); ++i) {
    even.push_back(values[i]);
    if ((i + 1) % columns == 0) even.push_back(T{});
  }
  return even;
}

// For products of numbers less 128: what those lack, in each sum. Sums are exact modulo 2^32.
std::vector<int32_t> less_128(const std::vector<int32_t>& bias,
                              const std::vector<int8_t>& weights) {
  const size_t length = bias.empty() ? 0 : weights.size() / bias.size();
  std::vector<int32_t> made;
  for (size_t c = 0; c < bias.size(); ++c) {
    int64_t sum = bias[c];
    for (size_t k = 0; k < length; ++k) sum += 128 * int64_t{weights[c * length + k]};
    made.push_back(static_cast<int32_t>(sum));
  }
  return made;
}

// The factors of a step's sums, as fields of its struct: `factors` of floats, else `scale`. Of an even
// number in each group, where there are any.
std::string scale_fields(CodeContext& code, size_t index, bool is_float, const Terms& terms,
                         const PlanEpilogue& epilogue, bool one_scale, int64_t groups) {
  const auto shared = [&](auto values) {
    if (one_scale) values.resize(1);
    return one_scale || groups == 0 ? values : evened(values, groups);
  };
  std::string scale = "NULL";
  std::string factors = "NULL";
  if (is_float)
    factors = code.add_array("scale", index, shared(terms.scale));
  else if (code.rounding == Rounding::kOrt)
    scale = code.add_array("scale", index, shared(terms.scale));
  else
    scale = code.add_factors("scale", index, shared(fixed_points(code, epilogue)));
  return fmt::format(".scale = {}, .factors = {}", scale, factors);
}

// What follows in passes of its own over the output: bounds within a byte's (what is clamped to
// those first may be clamped to these after), the sum with another array, and a table.
std::string write_rest(CodeContext& code, const PlanStep& step, const PlanEpilogue& epilogue,
                       ViewId output, const Pixels& out, ChannelAxis axis, size_t index) {
  std::string text;
  const std::string to = code.address(output, true);
  const auto pass = [&](const std::string& value) {
    text += fmt::format(
        "    for (n = 0; n < {}; ++n)\n      for (y = 0; y < {}; ++y)\n"
        "        for (x = 0; x < {}; ++x)\n          for (c = 0; c < {}; ++c) {{\n"
        "            {} *const q = {} + n * {} + y * {} + x * {} + c;\n"
        "            *q = {};\n          }}\n",
        out.images, out.height, out.width, out.channels, c_type(code.view(output).dtype), to,
        out.image, out.row, out.pixel, value);
  };
  if (code.view(output).dtype == DType::kFloat32) {
    constexpr float kMost = std::numeric_limits<float>::max();
    if (epilogue.float_low > -kMost || epilogue.float_high < kMost)
      pass(fmt::format("*q < {0} ? {0} : *q > {1} ? {1} : *q", c_float(epilogue.float_low),
                       c_float(epilogue.float_high)));
  } else if (epilogue.low > 0 || epilogue.high < 255) {
    pass(fmt::format("(uint8_t)bounded(*q, {}, {})", epilogue.low, epilogue.high));
  }
  if (epilogue.residual.valid()) {
    code.use(KernelText::kSum);
    const Pixels other = pixels_of(code.view(epilogue.residual), axis);
    const std::string added =
        fmt::format("({})[n * {} + y * {} + x * {} + c * {}]",
                    code.address(epilogue.residual, false), other.image, other.row, other.pixel,
                    other.channel);
    const PlanView& residual = code.view(epilogue.residual);
    const ResidualSum& sum = epilogue.sum;
    ScaleZeroPoint a = sum.own;
    ScaleZeroPoint b{residual.scale, residual.zero_point};
    std::string own = "*q", other_one = added;
    if (sum.residual_first) {
      std::swap(a, b);
      std::swap(own, other_one);
    }
    pass(fmt::format("summed(&{}, {}, {}, {}, {})",
                     add_sum_terms(code, step, a, b, sum.total, sum.shift, index), own, other_one,
                     epilogue.sum_low, epilogue.sum_high));
  }
  if (epilogue.table.valid()) {
    pass(fmt::format("{}[*q]", code.address(epilogue.table, false)));
  }
  if (text.empty()) return text;
  return "  {\n    int32_t n, y, x, c;\n" + text + "  }\n";
}

void require_plain(const PlanStep& step, const PlanEpilogue& epilogue) {
  if (epilogue.activation != ProductActivation::kNone)
    refuse_step(step, "its activation is computed from sums that are not quantized before");
}

}  // namespace

StepNeeds needs_of_product(const NativePlan& plan, const ProductStep& step) {
  const ProductSizes sizes = sizes_of(plan, step);
  StepNeeds needs;
  const PlanView& input = view_of(plan, step.input);
  const PlanView& output = view_of(plan, step.output);
  const Pixels in = pixels_of(input, step.axis);
  const Pixels out = pixels_of(output, step.axis);
  needs.scratch_bytes =
      sizes.length * ((out.height * out.width > 1 ? 4 : 2) + (sizes.is_plain ? 0 : 1));
  if (step.groups == 1 && in.images == 1 && in.channel == 1)
    needs.overlap = StepOverlap{step.input, lead_of(in, out, step.window, 2, element_bytes(output)),
                                1};
  return needs;
}

StepNeeds needs_of_depthwise(const NativePlan& plan, const DepthwiseStep& step) {
  const Pixels in = pixels_of(view_of(plan, step.input), ChannelAxis::kSecond);
  const Pixels out = pixels_of(view_of(plan, step.output), ChannelAxis::kSecond);
  const PlanWindow& w = step.window;
  const int64_t height =
      (out.height - 1) * w.stride_height + (w.kernel_height - 1) * w.dilation_height + 1;
  const int64_t width =
      (out.width - 1) * w.stride_width + (w.kernel_width - 1) * w.dilation_width + 1;
  StepNeeds needs;
  const int64_t frame = frame_width(width);
  needs.scratch_bytes = (height * frame + read_beyond(w, out.width, frame)) * 2;
  const bool is_of_bytes = element_bytes(view_of(plan, step.output)) == 1;
  if (is_of_bytes && in.images == 1 && in.pixel == out.pixel && in.row % in.pixel == 0 &&
      out.row % out.pixel == 0)
    needs.overlap = StepOverlap{step.input, -in.row * in.height, in.pixel};
  return needs;
}

std::string write_product(CodeContext& code, const PlanStep& whole, size_t index) {
  const ProductStep& step = std::get<ProductStep>(whole.kind);
  require_plain(whole, step.epilogue);
  code.use(KernelText::kProduct);
  const PlanView& output = code.view(step.output);
  const bool is_float = output.dtype == DType::kFloat32;
  const bool is_signed = code.view(step.input).dtype == DType::kInt8;
  const ProductSizes sizes = sizes_of(code.plan, step);
  const std::vector<int8_t> weights = code.values<int8_t>(step.weights);
  const Terms terms =
      terms_of(code, whole, step.scale, step.bias, is_float ? 0 : step.epilogue.zero_point, weights,
               static_cast<size_t>(sizes.taps * sizes.depth));
  const Pixels in = pixels_of(code.view(step.input), step.axis);
  const Pixels out = pixels_of(output, step.axis);
  const std::string weight_name =
      code.add_array("weights", index, in_pairs(weights, sizes, step.groups));
  const std::string bias_name =
      code.add_array("bias", index, evened(terms.bias, step.groups),
                     evened(less_128(terms.bias, weights), step.groups));
  const std::vector<int32_t> offsets = offsets_of(sizes, step.window, in);
  const std::string offsets_name =
      offsets.empty() ? "NULL" : code.add_array("offsets", index, offsets);
  const auto are_same = [](const auto& values) {
    return std::ranges::all_of(values, [&](const auto& each) { return each == values[0]; });
  };
  const bool one_scale =
      are_same(terms.scale) && are_same(code.values<double>(step.epilogue.real_scale));
  const std::string scales =
      scale_fields(code, index, is_float, terms, step.epilogue, one_scale, step.groups);
  const std::string fields = fmt::format(
      "\n    .weights = {}, .bias = {}, {},\n"
      "    .offsets = {}, .depth = {}, .columns = {}, .groups = {}, .length = {}, .in_channel = {},\n{}{}"
      "    .zero = {}, .flip = {}u, .padding = {}, .is_plain = {}, .is_float = {},\n"
      "    .scale_step = {}",
      weight_name, bias_name, scales, offsets_name, sizes.depth, sizes.columns, step.groups,
      sizes.length, in.channel, images_text(in, out), window_text(step.window), terms.zero,
      is_signed ? "0x80808080" : "0", step.padding ^ (is_signed ? 128 : 0), sizes.is_plain ? 1 : 0,
      is_float ? 1 : 0, one_scale ? 0 : 1);
  return fmt::format("  run_product(&{}, {}{}, {}, {});\n",
                     code.add_struct("product", index, fields),
                     is_signed ? "(const uint8_t *)" : "", code.address(step.input, false),
                     code.address(step.output, true),
                     code.scratch(index, "int16_t")) +
         write_rest(code, whole, step.epilogue, step.output, out, step.axis, index);
}

std::string write_depthwise(CodeContext& code, const PlanStep& whole, size_t index) {
  const DepthwiseStep& step = std::get<DepthwiseStep>(whole.kind);
  require_plain(whole, step.epilogue);
  const PlanView& output = code.view(step.output);
  const bool is_float = output.dtype == DType::kFloat32;
  code.use(KernelText::kDepthwise);
  const std::vector<int8_t> weights = code.values<int8_t>(step.weights);
  const Pixels in = pixels_of(code.view(step.input), ChannelAxis::kSecond);
  const Pixels out = pixels_of(output, ChannelAxis::kSecond);
  const PlanWindow& w = step.window;
  const int64_t taps = w.kernel_height * w.kernel_width;
  const Terms terms =
      terms_of(code, whole, step.scale, step.bias, is_float ? 0 : step.epilogue.zero_point, weights,
               static_cast<size_t>(taps));
  const int64_t height =
      (out.height - 1) * w.stride_height + (w.kernel_height - 1) * w.dilation_height + 1;
  const int64_t width =
      (out.width - 1) * w.stride_width + (w.kernel_width - 1) * w.dilation_width + 1;
  const std::string weight_name = code.add_array("weights", index, weights);
  const std::string bias_name = code.add_array("bias", index, terms.bias);
  const std::string scales =
      scale_fields(code, index, is_float, terms, step.epilogue, false, 0);
  const std::string fields = fmt::format(
      "\n    .weights = {}, .bias = {}, {},\n"
      "    .channels = {}, .frame_height = {}, .frame_width = {},\n{}{}"
      "    .zero = {}, .padding = {}, .is_float = {}",
      weight_name, bias_name, scales, out.channels, height, frame_width(width),
      images_text(in, out), window_text(w), terms.zero, step.padding, is_float ? 1 : 0);
  return fmt::format("  run_depthwise(&{}, {}, {}, {});\n",
                     code.add_struct("depthwise", index, fields),
                     code.address(step.input, false), code.address(step.output, true),
                     code.scratch(index, "int16_t")) +
         write_rest(code, whole, step.epilogue, step.output, out, ChannelAxis::kSecond, index);
}

}  // namespace lathe
