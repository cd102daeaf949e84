// Integer and float products.
#include "plan/verify_step_kinds.h"

namespace lathe {
namespace {

/// oneDNN's limit.
constexpr size_t kMostMatrixRank = 12;

bool same_place(const PlanView& a, const PlanView& b) {
  return a.block == b.block && a.offset == b.offset && a.shape == b.shape &&
         a.strides == b.strides && a.dtype == b.dtype;
}

const PlanView& product_output(const PlanCheck& check, ViewId id) {
  const DType dtype = check.view(id).dtype;
  check.require(dtype == DType::kUInt8 || dtype == DType::kFloat32, "a product of another type");
  return check.view(id, dtype);
}

void verify_epilogue(const PlanCheck& check, const PlanEpilogue& epilogue, const PlanView& output,
                     ChannelAxis axis) {
  check.require(epilogue.activation <= ProductActivation::kTanh, "an unknown activation");
  check.require(epilogue.low <= epilogue.high && epilogue.sum_low <= epilogue.sum_high &&
                    epilogue.float_low <= epilogue.float_high,
                "bounds in the wrong order");
  const bool bytes = output.dtype == DType::kUInt8;
  if (epilogue.residual.valid()) {
    check.require(bytes, "a residual of a product that is not quantized");
    const PlanView& residual = check.view(epilogue.residual, DType::kUInt8);
    check.same_shape(residual, output);
    check.uniform(check.pixels(residual, axis));
  }
  if (epilogue.table.valid()) {
    check.require(bytes, "a table behind a product that is not quantized");
    check.constant_row(epilogue.table, DType::kUInt8, 256);
  }
}

/// Products read the channels of a pixel in fours.
void verify_room_behind(const PlanCheck& check, const PlanView& input, int64_t depth) {
  const int64_t behind = (depth + 3) / 4 * 4 - depth;
  check.require(check.range(input).end + behind <= check.block(input).bytes,
                "no room behind the last pixel of a product's input");
}

void verify_spatial(const PlanCheck& check, const std::vector<int64_t>& values, size_t rank,
                    int64_t least) {
  check.require(values.size() == rank, "a convolution's window has another rank");
  for (const int64_t value : values)
    check.require(value >= least && value <= kMostWindow, "a window that is too large or negative");
}

void verify_tail(const PlanCheck& check, const FloatTail& tail, const PlanView& output) {
  check.require(tail.function <= FloatTail::Function::kGeluTanh, "an unknown activation");
  if (tail.sum.valid())
    check.require(same_place(check.view(tail.sum), output),
                  "a sum that is not added where it lies");
}

void positive_strides(const PlanCheck& check, const PlanView& view) {
  for (size_t i = 0; i < view.shape.size(); ++i)
    check.require(view.shape[i] == 1 || view.strides[i] > 0, "a stride that is not positive");
}

}  // namespace

void verify_window(const PlanCheck& check, const PlanWindow& w, const PlanPixels& from,
                   const PlanPixels& to) {
  const auto axis = [&](int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation,
                        int64_t pad) {
    for (const int64_t value : {kernel, stride, dilation})
      check.require(value >= 1 && value <= kMostWindow, "a window that is too large or empty");
    check.require(pad >= 0 && pad <= kMostWindow && (kernel - 1) * dilation <= kMostWindow,
                  "a window that is too large");
    int64_t last = 0;
    check.require(!__builtin_mul_overflow(out - 1, stride, &last) && last - pad <= in + kMostWindow,
                  "windows far beyond their input");
  };
  axis(from.height, to.height, w.kernel_height, w.stride_height, w.dilation_height, w.pad_top);
  axis(from.width, to.width, w.kernel_width, w.stride_width, w.dilation_width, w.pad_left);
  check.require(from.images == to.images, "another number of images");
}

void verify(const PlanCheck& check, const ProductStep& s) {
  const PlanView& input = check.view(s.input, DType::kUInt8);
  const PlanView& output = product_output(check, s.output);
  const PlanView& weights = check.view(s.weights, DType::kInt8);
  const PlanPixels from = check.pixels(input, s.axis);
  const PlanPixels to = check.pixels(output, s.axis);
  check.require(weights.shape.size() == 3, "weights are not columns x taps x depth");
  check.constant_row(s.weights, DType::kInt8, element_count(weights.shape));
  const int64_t columns = weights.shape[0];
  const int64_t taps = weights.shape[1];
  const int64_t depth = weights.shape[2];
  check.require(s.groups >= 1 && s.groups <= columns && columns % s.groups == 0,
                "columns do not divide into the groups");
  check.require(depth <= kMostProductTerms && taps <= kMostProductTerms &&
                    taps * ((depth + 3) / 4 * 4) <= kMostProductTerms,
                "sums of too many products");
  check.require(from.channels % s.groups == 0 && from.channels / s.groups == depth,
                "weights for another number of input channels");
  check.require(to.channels == columns, "weights for another number of output channels");
  verify_window(check, s.window, from, to);
  check.require(s.window.kernel_height * s.window.kernel_width == taps,
                "weights of another window");
  if (s.axis == ChannelAxis::kLast)
    check.require(taps == 1 && s.window.stride_width == 1 && s.window.pad_left == 0 &&
                      s.window.stride_height == 1 && s.window.pad_top == 0 &&
                      from.width == to.width,
                  "a matrix product with a window");
  check.constant_row(s.scale, DType::kFloat32, columns);
  check.constant_row(s.bias, DType::kFloat32, columns);
  verify_room_behind(check, input, depth);
  check.uniform(to);
  check.written_once(output);
  verify_epilogue(check, s.epilogue, output, s.axis);
}

void verify(const PlanCheck& check, const DepthwiseStep& s) {
  const PlanView& input = check.view(s.input, DType::kUInt8);
  const PlanView& output = product_output(check, s.output);
  const PlanPixels from = check.pixels(input, ChannelAxis::kSecond);
  const PlanPixels to = check.pixels(output, ChannelAxis::kSecond);
  verify_window(check, s.window, from, to);
  const PlanWindow& w = s.window;
  const int64_t taps = w.kernel_height * w.kernel_width;
  check.require(taps <= kMostProductTerms, "sums of too many products");
  check.require(from.channels == to.channels, "another number of channels");
  check.constant_row(s.weights, DType::kInt8, from.channels * taps);
  check.constant_row(s.scale, DType::kFloat32, from.channels);
  check.constant_row(s.bias, DType::kFloat32, from.channels);
  // One pointer for each place that a row of windows reads.
  constexpr int64_t kMostPointers = int64_t{1} << 22;
  int64_t pointers = 0;
  check.require(!__builtin_mul_overflow(
                    (to.width + 15) * w.stride_width + (w.kernel_width - 1) * w.dilation_width + 1,
                    w.kernel_height, &pointers) &&
                    pointers <= kMostPointers,
                "a row of windows that is too long");
  check.uniform(from);
  check.uniform(to);
  check.written_once(output);
  verify_epilogue(check, s.epilogue, output, ChannelAxis::kSecond);
}

void verify(const PlanCheck& check, const FloatConvStep& s) {
  const PlanView& input = check.view(s.input, DType::kFloat32);
  const PlanView& output = check.view(s.output, DType::kFloat32);
  const PlanView& weights = check.view(s.weights, DType::kFloat32);
  const size_t rank = input.shape.size() - 2;
  check.require(input.shape.size() >= 3 && rank <= 3 && output.shape.size() == rank + 2 &&
                    weights.shape.size() == rank + 2,
                "a convolution of another rank");
  check.constant_row(s.weights, DType::kFloat32, element_count(weights.shape));
  verify_spatial(check, s.strides, rank, 1);
  verify_spatial(check, s.dilations, rank, 1);
  verify_spatial(check, s.pads_begin, rank, 0);
  verify_spatial(check, s.pads_end, rank, s.transposed ? -kMostWindow : 0);
  const int64_t groups = s.groups;
  check.require(groups >= 1 && input.shape[1] % groups == 0 && output.shape[1] % groups == 0 &&
                    input.shape[0] == output.shape[0],
                "channels do not divide into the groups");
  const int64_t in = s.transposed ? input.shape[1] : input.shape[1] / groups;
  const int64_t out = s.transposed ? output.shape[1] / groups : output.shape[1];
  check.require(weights.shape[0] == (s.transposed ? in : out) &&
                    weights.shape[1] == (s.transposed ? out : in),
                "weights for another number of channels");
  for (size_t i = 0; i < rank; ++i) {
    const int64_t kernel = weights.shape[i + 2];
    check.require(kernel <= kMostWindow && (kernel - 1) * s.dilations[i] <= kMostWindow,
                  "a window that is too large");
    const int64_t reach = (kernel - 1) * s.dilations[i] + 1;
    const int64_t pads = s.pads_begin[i] + s.pads_end[i];
    const int64_t read = input.shape[i + 2];
    const int64_t made = output.shape[i + 2];
    check.require(s.transposed
                      ? (read - 1) * s.strides[i] + reach - pads == made
                      : read + pads >= reach && (read + pads - reach) / s.strides[i] + 1 == made,
                  "an output of another size than the windows give");
  }
  if (s.bias.valid()) check.constant_row(s.bias, DType::kFloat32, output.shape[1]);
  positive_strides(check, input);
  positive_strides(check, output);
  check.written_once(output);
  verify_tail(check, s.tail, output);
}

void verify(const PlanCheck& check, const FloatMatMulStep& s) {
  const PlanView& a = check.view(s.a, DType::kFloat32);
  const PlanView& b = check.view(s.b, DType::kFloat32);
  const PlanView& output = check.view(s.output, DType::kFloat32);
  const size_t rank = output.shape.size();
  check.require(rank >= 2 && rank <= kMostMatrixRank && a.shape.size() >= 2 &&
                    b.shape.size() >= 2 && a.shape.size() <= rank && b.shape.size() <= rank,
                "a matrix product of another rank");
  const auto size = [&](const PlanView& view, size_t from_end) {
    return from_end <= view.shape.size() ? view.shape[view.shape.size() - from_end] : 1;
  };
  check.require(
      size(a, 2) == size(output, 2) && size(b, 1) == size(output, 1) && size(a, 1) == size(b, 2),
      "matrices whose sizes do not fit");
  for (size_t i = 3; i <= rank; ++i) {
    const int64_t wide = size(output, i);
    check.require((size(a, i) == wide || size(a, i) == 1) &&
                      (size(b, i) == wide || size(b, i) == 1) &&
                      (size(a, i) == wide || size(b, i) == wide),
                  "matrices whose numbers do not fit");
  }
  if (s.bias.valid()) {
    const PlanView& bias = check.view(s.bias, DType::kFloat32);
    check.require(element_count(bias.shape) == size(output, 1), "a bias of another size");
    check.dense(bias);
  }
  for (const PlanView* view : {&a, &b, &output}) positive_strides(check, *view);
  check.written_once(output);
  verify_tail(check, s.tail, output);
}

}  // namespace lathe
