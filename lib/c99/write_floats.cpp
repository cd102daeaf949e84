// Steps of float32: plain loops, for what has no integer form.
#include <fmt/format.h>

#include "c99/c_text.h"
#include "c99/code_context.h"

namespace lathe {
namespace {

std::string tail_text(CodeContext& code, const PlanStep& whole, const FloatTail& tail) {
  using enum FloatTail::Function;
  const auto math = [&](const char* text) {
    code.use(KernelText::kMath);
    return std::string(text);
  };
  switch (tail.function) {
    case kNone: return "sum";
    case kRelu: return "sum > 0.0f ? sum : 0.0f";
    case kClip:
      return fmt::format("sum < {0} ? {0} : sum > {1} ? {1} : sum", c_float(tail.alpha),
                         c_float(tail.beta));
    case kLeakyRelu: return fmt::format("sum >= 0.0f ? sum : {} * sum", c_float(tail.alpha));
    case kElu:
      return math("sum >= 0.0f ? sum : ") +
             fmt::format("{} * (expf(sum) - 1.0f)", c_float(tail.alpha));
    case kSigmoid: return math("1.0f / (1.0f + expf(-sum))");
    case kTanh: return math("tanhf(sum)");
    case kSilu: return math("sum / (1.0f + expf(-sum))");
    case kHardSwish: return math("sum * fminf(fmaxf(sum / 6.0f + 0.5f, 0.0f), 1.0f)");
    case kGelu: return math("0.5f * sum * (1.0f + erff(sum * 0.707106781f))");
    case kGeluTanh:
      return math(
          "0.5f * sum * (1.0f + tanhf(0.797884561f * (sum + 0.044715f * sum * sum * sum)))");
  }
  refuse_step(whole, "an activation without C code");
}

std::string write_float_conv(CodeContext& code, const PlanStep& whole, const FloatConvStep& step) {
  if (step.strides.size() > 2) refuse_step(whole, "a convolution of three spatial axes");
  const size_t rank = step.strides.size();
  const auto axis = [&](const std::vector<int64_t>& values, bool is_row, int64_t otherwise) {
    if (is_row) return rank == 2 ? values[0] : otherwise;
    return values[rank - 1];
  };
  const PlanView& weights = code.view(step.weights);
  const Pixels in = pixels_of(code.view(step.input), ChannelAxis::kSecond);
  const Pixels out = pixels_of(code.view(step.output), ChannelAxis::kSecond);
  const int64_t depth = in.channels / step.groups;
  const int64_t kernel_width = weights.shape.back();
  const int64_t kernel_height = rank == 2 ? weights.shape[2] : 1;
  const int64_t columns = out.channels / step.groups;
  const std::vector<int64_t>& w = weights.strides;
  std::string text = fmt::format(
      "  {{\n    const float *const from = {}, *const weights = {};\n    float *const to = {};\n"
      "    int32_t n, y, x, c, k, ky, kx;\n"
      "    for (n = 0; n < {}; ++n)\n      for (y = 0; y < {}; ++y)\n"
      "        for (x = 0; x < {}; ++x)\n          for (c = 0; c < {}; ++c) {{\n"
      "            float sum = {};\n",
      code.address(step.input, false), code.address(step.weights, false),
      code.address(step.output, true), out.images, out.height, out.width, out.channels,
      step.bias.valid() ? fmt::format("({})[c]", code.address(step.bias, false)) : "0.0f");
  // Where a tap reads; a transposed convolution's only where that is on the stride's grid.
  const auto place = [&](const char* name, const char* at, const char* tap, bool is_row,
                         int64_t size) {
    const int64_t stride = axis(step.strides, is_row, 1);
    const int64_t pad = axis(step.pads_begin, is_row, 0);
    const int64_t dilation = axis(step.dilations, is_row, 1);
    const std::string indent(is_row ? 14 : 16, ' ');
    if (!step.transposed)
      return fmt::format("{0}const int32_t {1} = {2} * {3} - {4} + {5} * {6};\n"
                         "{0}if ({1} < 0 || {1} >= {7}) continue;\n",
                         indent, name, at, stride, pad, tap, dilation, size);
    return fmt::format("{0}const int32_t {1}_up = {2} + {3} - {4} * {5}, {1} = {1}_up / {6};\n"
                       "{0}if ({1}_up < 0 || {1}_up % {6} != 0 || {1} >= {7}) continue;\n",
                       indent, name, at, pad, tap, dilation, stride, size);
  };
  const std::string weight =
      step.transposed ? fmt::format("(c / {0} * {1} + k) * {2} + c % {0} * {3}", columns, depth,
                                    w[0], w[1])
                      : fmt::format("c * {} + k * {}", w[0], w[1]);
  text += fmt::format(
      "            for (ky = 0; ky < {}; ++ky) {{\n{}"
      "              for (kx = 0; kx < {}; ++kx) {{\n{}"
      "                for (k = 0; k < {}; ++k)\n"
      "                  sum += from[n * {} + row * {} + column * {} + (c / {} * {} + k) * {}] *\n"
      "                         weights[{} + ky * {} + kx * {}];\n"
      "              }}\n            }}\n",
      kernel_height, place("row", "y", "ky", true, in.height), kernel_width,
      place("column", "x", "kx", false, in.width), depth, in.image, in.row, in.pixel, columns,
      depth, in.channel, weight, rank == 2 ? w[2] : 0, w.back());
  if (step.tail.sum.valid()) {
    const Pixels other = pixels_of(code.view(step.tail.sum), ChannelAxis::kSecond);
    text += fmt::format("            sum += ({})[n * {} + y * {} + x * {} + c * {}];\n",
                        code.address(step.tail.sum, false), other.image, other.row, other.pixel,
                        other.channel);
  }
  return text + fmt::format(
                    "            to[n * {} + y * {} + x * {} + c * {}] = {};\n          }}\n  }}\n",
                    out.image, out.row, out.pixel, out.channel, tail_text(code, whole, step.tail));
}

// Loops over the leading axes, in which the factors may be repeated, and what they add to each
// array's place.
struct Leading {
  std::string loops;
  std::string a, b, to, sum;
};

Leading leading_of(const CodeContext& code, const FloatMatMulStep& step) {
  const PlanView& to = code.view(step.output);
  Leading leading;
  const auto add = [&](std::string& text, ViewId id, size_t axis) {
    if (!id.valid()) return;
    const PlanView& view = code.view(id);
    const size_t missing = to.shape.size() - view.shape.size();
    if (axis < missing || view.shape[axis - missing] == 1) return;
    text += fmt::format(" + i{} * {}", axis, view.strides[axis - missing]);
  };
  for (size_t axis = 0; axis + 2 < to.shape.size(); ++axis) {
    if (to.shape[axis] == 1) continue;
    leading.loops += fmt::format("    for (i{0} = 0; i{0} < {1}; ++i{0})\n", axis, to.shape[axis]);
    add(leading.a, step.a, axis);
    add(leading.b, step.b, axis);
    add(leading.to, step.output, axis);
    add(leading.sum, step.tail.sum, axis);
  }
  return leading;
}

std::string write_matmul(CodeContext& code, const PlanStep& whole, const FloatMatMulStep& step) {
  const PlanView& a = code.view(step.a);
  const PlanView& b = code.view(step.b);
  const PlanView& to = code.view(step.output);
  const size_t rank = to.shape.size();
  if (rank < 2 || a.shape.size() < 2 || b.shape.size() < 2)
    refuse_step(whole, "a product of vectors");
  const auto stride = [](const PlanView& view, size_t from_end) {
    return view.strides[view.strides.size() - from_end];
  };
  const Leading leading = leading_of(code, step);
  std::string text = fmt::format(
      "  {{\n    const float *const a = {}, *const b = {};\n    float *const to = {};\n"
      "    int32_t m, n, k;\n",
      code.address(step.a, false), code.address(step.b, false), code.address(step.output, true));
  for (size_t axis = 0; axis + 2 < rank; ++axis)
    if (to.shape[axis] != 1) text += fmt::format("    int32_t i{};\n", axis);
  text += leading.loops;
  text += fmt::format(
      "    for (m = 0; m < {}; ++m)\n      for (n = 0; n < {}; ++n) {{\n"
      "        float sum = 0.0f;\n        for (k = 0; k < {}; ++k)\n"
      "          sum += a[m * {} + k * {}{}] * b[k * {} + n * {}{}];\n",
      to.shape[rank - 2], to.shape[rank - 1], a.shape.back(), stride(a, 2), stride(a, 1), leading.a,
      stride(b, 2), stride(b, 1), leading.b);
  if (step.alpha != 1) text += fmt::format("        sum *= {};\n", c_float(step.alpha));
  if (step.bias.valid())
    text += fmt::format("        sum += ({})[n];\n", code.address(step.bias, false));
  if (step.tail.sum.valid()) {
    const PlanView& other = code.view(step.tail.sum);
    text += fmt::format("        sum += ({})[m * {} + n * {}{}];\n",
                        code.address(step.tail.sum, false), stride(other, 2), stride(other, 1),
                        leading.sum);
  }
  return text + fmt::format("        to[m * {} + n * {}{}] = {};\n      }}\n  }}\n", stride(to, 2),
                            stride(to, 1), leading.to, tail_text(code, whole, step.tail));
}

std::string write_reduce(CodeContext& code, const ReduceStep& step) {
  using enum ReduceStep::Kind;
  const PlanView& from = code.view(step.input);
  const PlanView& to = code.view(step.output);
  int64_t count = 1;
  std::string in = "0";
  std::string out = "0";
  std::string outer;
  std::string inner;
  std::string text = "  {\n";
  for (size_t axis = 0; axis < from.shape.size(); ++axis) {
    if (from.shape[axis] == 1) continue;
    const bool is_reduced = to.shape[axis] == 1;
    text += fmt::format("    int32_t i{};\n", axis);
    (is_reduced ? inner : outer) +=
        fmt::format("    for (i{0} = 0; i{0} < {1}; ++i{0})\n", axis, from.shape[axis]);
    in += fmt::format(" + i{} * {}", axis, from.strides[axis]);
    if (is_reduced)
      count *= from.shape[axis];
    else
      out += fmt::format(" + i{} * {}", axis, to.strides[axis]);
  }
  const char* start = "0.0f";
  const char* each = "sum += x";
  if (step.kind == kProd) start = "1.0f";
  if (step.kind == kMax) start = "-3.40282347e+38f";
  if (step.kind == kMin) start = "3.40282347e+38f";
  if (step.kind == kProd) each = "sum *= x";
  if (step.kind == kMax) each = "sum = x > sum ? x : sum";
  if (step.kind == kMin) each = "sum = x < sum ? x : sum";
  if (step.kind == kSumSquare) each = "sum += x * x";
  return text + outer +
         fmt::format(
             "    {{\n      float sum = {};\n{}      {{\n        const float x = ({})[{}];\n"
             "        {};\n      }}\n      ({})[{}] = {};\n    }}\n  }}\n",
             start, inner, code.address(step.input, false), in, each,
             code.address(step.output, true), out,
             step.kind == kMean ? fmt::format("sum / {}.0f", count) : "sum");
}

std::string write_softmax(CodeContext& code, const SoftmaxStep& step) {
  code.use(KernelText::kMath);
  const PlanView& from = code.view(step.input);
  const int64_t length = from.shape.back();
  return fmt::format(
      "  {{\n    const float *from = {0};\n    float *to = {1};\n    int32_t row, i;\n"
      "    for (row = 0; row < {2}; ++row, from += {3}, to += {3}) {{\n"
      "      float most = from[0], sum = 0.0f;\n"
      "      for (i = 1; i < {3}; ++i) most = from[i] > most ? from[i] : most;\n"
      "      for (i = 0; i < {3}; ++i) {{\n        {4}\n      }}\n      {5}\n"
      "      for (i = 0; i < {3}; ++i) {6};\n    }}\n  }}\n",
      code.address(step.input, false), code.address(step.output, true),
      element_count(from.shape) / length, length,
      step.logarithm ? "to[i] = from[i] - most;\n        sum += expf(to[i]);"
                     : "to[i] = expf(from[i] - most);\n        sum += to[i];",
      step.logarithm ? "sum = logf(sum);" : "sum = 1.0f / sum;",
      step.logarithm ? "to[i] -= sum" : "to[i] *= sum");
}

// Of each channel of each image.
std::string write_instance_norm(CodeContext& code, const PlanStep& whole,
                                const LayerNormStep& step) {
  if (code.view(step.input).shape.size() > 4)
    refuse_step(whole, "InstanceNormalization of three spatial axes");
  code.use(KernelText::kMath);
  const Pixels in = pixels_of(code.view(step.input), ChannelAxis::kSecond);
  const Pixels out = pixels_of(code.view(step.output), ChannelAxis::kSecond);
  const auto place = [](const Pixels& p) {
    return fmt::format("[n * {} + y * {} + x * {} + c * {}]", p.image, p.row, p.pixel, p.channel);
  };
  const std::string each = fmt::format(
      "        for (y = 0; y < {}; ++y)\n          for (x = 0; x < {}; ++x)", in.height, in.width);
  std::string factor = "1.0f";
  if (step.scale.valid()) factor = fmt::format("({})[c]", code.address(step.scale, false));
  std::string offset;
  if (step.bias.valid()) offset = fmt::format(" + ({})[c]", code.address(step.bias, false));
  const int64_t count = in.height * in.width;
  return fmt::format(
      "  {{\n    const float *const from = {0};\n    float *const to = {1};\n"
      "    int32_t n, c, y, x;\n    for (n = 0; n < {2}; ++n)\n"
      "      for (c = 0; c < {3}; ++c) {{\n        float mean = 0.0f, square = 0.0f, factor;\n"
      "{4} mean += from{5};\n        mean /= {6}.0f;\n"
      "{4} {{\n            const float apart = from{5} - mean;\n"
      "            square += apart * apart;\n          }}\n"
      "        factor = {7} / sqrtf(square / {6}.0f + {8});\n"
      "{4} to{9} = (from{5} - mean) * factor{10};\n      }}\n  }}\n",
      code.address(step.input, false), code.address(step.output, true), in.images, in.channels,
      each, place(in), count, factor, c_float(step.epsilon), place(out), offset);
}

std::string write_layer_norm(CodeContext& code, const PlanStep& whole, const LayerNormStep& step) {
  if (step.axes < 1) return write_instance_norm(code, whole, step);
  code.use(KernelText::kMath);
  const PlanView& from = code.view(step.input);
  int64_t length = 1;
  for (int64_t i = 0; i < step.axes; ++i)
    length *= from.shape[from.shape.size() - 1 - static_cast<size_t>(i)];
  std::string value = "(from[i] - mean) * factor";
  if (step.scale.valid()) value += fmt::format(" * ({})[i]", code.address(step.scale, false));
  if (step.bias.valid()) value += fmt::format(" + ({})[i]", code.address(step.bias, false));
  return fmt::format(
      "  {{\n    const float *from = {0};\n    float *to = {1};\n    int32_t row, i;\n"
      "    for (row = 0; row < {2}; ++row, from += {3}, to += {3}) {{\n"
      "      float mean = 0.0f, square = 0.0f, factor;\n"
      "      for (i = 0; i < {3}; ++i) mean += from[i];\n      mean /= {3}.0f;\n"
      "      for (i = 0; i < {3}; ++i) square += (from[i] - mean) * (from[i] - mean);\n"
      "      factor = 1.0f / sqrtf(square / {3}.0f + {4});\n"
      "      for (i = 0; i < {3}; ++i) to[i] = {5};\n    }}\n  }}\n",
      code.address(step.input, false), code.address(step.output, true),
      element_count(from.shape) / length, length, c_float(step.epsilon), value);
}

}  // namespace

std::string write_floats(CodeContext& code, const PlanStep& step) {
  if (const auto* s = std::get_if<FloatConvStep>(&step.kind))
    return write_float_conv(code, step, *s);
  if (const auto* s = std::get_if<FloatMatMulStep>(&step.kind)) return write_matmul(code, step, *s);
  if (const auto* s = std::get_if<SoftmaxStep>(&step.kind)) return write_softmax(code, *s);
  if (const auto* s = std::get_if<ReduceStep>(&step.kind)) return write_reduce(code, *s);
  return write_layer_norm(code, step, std::get<LayerNormStep>(step.kind));
}

}  // namespace lathe
