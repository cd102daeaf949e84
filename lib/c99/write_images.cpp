// Pools and resizing of images.
#include <fmt/format.h>

#include "c99/c_text.h"
#include "c99/code_context.h"

namespace lathe {
namespace {

std::string write_float_pool(CodeContext& code, const PoolStep& step, const Pixels& in,
                             const Pixels& out) {
  const PlanWindow& w = step.window;
  std::string text = fmt::format(
      "  {{\n    const float *const from = {};\n    float *const to = {};\n"
      "    int32_t n, y, x, c, ky, kx;\n",
      code.address(step.input, false), code.address(step.output, true));
  text += fmt::format(
      "    for (n = 0; n < {}; ++n)\n      for (y = 0; y < {}; ++y)\n"
      "        for (x = 0; x < {}; ++x)\n          for (c = 0; c < {}; ++c) {{\n",
      out.images, out.height, out.width, out.channels);
  text += step.average
              ? "            float sum = 0.0f;\n            int32_t count = 0;\n"
              : "            float sum = -3.40282347e+38f;\n";
  text += fmt::format(
      "            for (ky = 0; ky < {}; ++ky)\n              for (kx = 0; kx < {}; ++kx) {{\n"
      "                const int32_t row = y * {} - {} + ky * {};\n"
      "                const int32_t column = x * {} - {} + kx * {};\n",
      w.kernel_height, w.kernel_width, w.stride_height, w.pad_top, w.dilation_height,
      w.stride_width, w.pad_left, w.dilation_width);
  if (step.average && step.include_padding)
    text += fmt::format("                if (row < {} && column < {}) ++count;\n",
                        in.height + step.pad_bottom, in.width + step.pad_right);
  text += fmt::format(
      "                if (row < 0 || row >= {} || column < 0 || column >= {}) continue;\n",
      in.height, in.width);
  const std::string value = fmt::format("from[n * {} + row * {} + column * {} + c]", in.image,
                                        in.row, in.pixel);
  if (!step.average)
    text += fmt::format("                if ({0} > sum) sum = {0};\n", value);
  else
    text += fmt::format("                sum += {};\n{}", value,
                        step.include_padding ? "" : "                ++count;\n");
  text += "              }\n";
  text += fmt::format("            to[n * {} + y * {} + x * {} + c] = {};\n          }}\n  }}\n",
                      out.image, out.row, out.pixel,
                      step.average ? "sum / (float)(count < 1 ? 1 : count)" : "sum");
  return text;
}

}  // namespace

bool is_whole_average(const NativePlan& plan, const PoolStep& step) {
  const PlanView& from = view_of(plan, step.input);
  const PlanView& to = view_of(plan, step.output);
  // TensorFlow Lite's MEAN rounds in another way than its average pools.
  return from.dtype == DType::kUInt8 && step.average && !step.is_mean && !step.include_padding &&
         from.scale == to.scale && from.zero_point == to.zero_point;
}

std::string write_pool(CodeContext& code, const PoolStep& step, size_t index) {
  const PlanView& from = code.view(step.input);
  const PlanView& to = code.view(step.output);
  const Pixels in = pixels_of(from, ChannelAxis::kSecond);
  const Pixels out = pixels_of(to, ChannelAxis::kSecond);
  if (from.dtype == DType::kFloat32) return write_float_pool(code, step, in, out);
  code.use(KernelText::kPool);
  const PlanWindow& w = step.window;
  const bool is_meant = from.scale != 0 && to.scale != 0;  // else the integers as they are
  const float in_scale = is_meant ? from.scale : 1.0F;
  const float out_scale = is_meant ? to.scale : 1.0F;
  const auto pixels = static_cast<float>(w.kernel_height * w.kernel_width);
  const char* kind = "FLOAT_AVERAGE";
  if (!step.average)
    kind = "MAXIMUM";
  else if (code.rounding == Rounding::kTflite && is_whole_average(code.plan, step))
    kind = "WHOLE_AVERAGE";
  else if (step.is_global)
    kind = "SCALED_SUM";
  const std::string fields = fmt::format(
      "\n    .channels = {},\n"
      "    .in_height = {}, .in_width = {}, .in_row = {}, .in_pixel = {},\n"
      "    .out_height = {}, .out_width = {}, .out_row = {}, .out_pixel = {},\n"
      "    .images = {}, .in_image = {}, .out_image = {},\n"
      "    .kernel_height = {}, .kernel_width = {}, .stride_height = {}, .stride_width = {},\n"
      "    .dilation_height = {}, .dilation_width = {}, .pad_top = {}, .pad_left = {},\n"
      "    .counted_height = {}, .counted_width = {},\n"
      "    .factor = {}, .in_scale = {}, .out_scale = {},\n"
      "    .in_zero = {}, .out_zero = {}, .center = {}, .kind = {}",
      out.channels, in.height, in.width, in.row, in.pixel, out.height, out.width, out.row,
      out.pixel, out.images, in.image, out.image, w.kernel_height, w.kernel_width, w.stride_height,
      w.stride_width, w.dilation_height, w.dilation_width, w.pad_top, w.pad_left,
      step.include_padding ? in.height + step.pad_bottom : 0,
      step.include_padding ? in.width + step.pad_right : 0,
      c_float(in_scale / (out_scale * pixels)), c_float(in_scale), c_float(out_scale),
      is_meant ? from.zero_point : 0, is_meant ? to.zero_point : 0, to.shift, kind);
  return fmt::format("  run_pool(&{}, {}, {});\n", code.add_struct("pool", index, fields),
                     code.address(step.input, false), code.address(step.output, true));
}

std::string write_resize(CodeContext& code, const ResizeStep& step, size_t index) {
  const PlanView& from = code.view(step.input);
  const Pixels in = pixels_of(from, ChannelAxis::kSecond);
  const Pixels out = pixels_of(code.view(step.output), ChannelAxis::kSecond);
  const bool is_linear = !step.row_weight.empty();
  const bool is_bytes = element_bytes(from) == 1;
  if (is_linear && is_bytes) code.use(KernelText::kBase);
  const auto table = [&](const char* name, const auto& values) {
    return code.add_array(name, index, values);
  };
  const std::string rows = table("rows", step.row_first);
  const std::string columns = table("columns", step.column_first);
  std::string text = fmt::format(
      "  {{\n    const {0} *const from = {1};\n    {0} *const to = {2};\n    int32_t n, y, x, c;\n"
      "    for (n = 0; n < {3}; ++n)\n      for (y = 0; y < {4}; ++y)\n"
      "        for (x = 0; x < {5}; ++x)\n          for (c = 0; c < {6}; ++c) {{\n",
      c_type(from.dtype), code.address(step.input, false), code.address(step.output, true),
      out.images, out.height, out.width, out.channels);
  const auto pixel = [&](const std::string& row, const std::string& column) {
    return fmt::format("from[n * {} + {}[y] * {} + {}[x] * {} + c]", in.image, row, in.row, column,
                       in.pixel);
  };
  const auto number = [&](const std::string& element) {
    return is_bytes ? "(float)" + element : element;
  };
  std::string value = pixel(rows, columns);
  if (is_linear) {
    const std::string rows2 = table("rows2", step.row_second);
    const std::string columns2 = table("columns2", step.column_second);
    const std::string wy = table("row_weight", step.row_weight);
    const std::string wx = table("column_weight", step.column_weight);
    const auto between = [&](const std::string& a, const std::string& b) {
      return fmt::format("{0} + {1}[x] * ({2} - {0})", number(a), wx, number(b));
    };
    text += fmt::format(
        "            const float top = {};\n            const float low = {};\n",
        between(pixel(rows, columns), pixel(rows, columns2)),
        between(pixel(rows2, columns), pixel(rows2, columns2)));
    value = fmt::format("top + {}[y] * (low - top)", wy);
    if (is_bytes) value = "byte_of(nearest(" + value + ", ROUNDING))";
  }
  return text +
         fmt::format("            to[n * {} + y * {} + x * {} + c] = {};\n          }}\n  }}\n",
                     out.image, out.row, out.pixel, value);
}

}  // namespace lathe
