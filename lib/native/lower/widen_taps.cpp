#include "lower/widen_taps.h"

#include <algorithm>

namespace lathe {
namespace {

constexpr int64_t kMostChannels = 4;

/// The image in the middle of an array of its zero points.
ViewId framed(Lowering& lowering, ViewId image, int64_t top, int64_t left, int64_t height,
              int64_t width) {
  PlanBuilder& build = lowering.build;
  const PlanView view = build.view(image);
  const Shape shape{view.shape[0], view.shape[1], height, width};
  if (top == 0 && left == 0 && shape == view.shape &&
      is_dense(build.view(build.transposed(image, {0, 2, 3, 1}))))
    return image;
  const ViewId frame = build.add_array(view.name, view.dtype, shape, channels_last_order(4));
  build.set_params(frame, params_of(view));
  build.add_step({}, -1, FillStep{frame, static_cast<uint64_t>(view.zero_point)});
  const int64_t rows = std::min(view.shape[2], height - top);
  const int64_t columns = std::min(view.shape[3], width - left);
  if (rows <= 0 || columns <= 0) return frame;  // nothing but padding is read
  const ViewId inside = build.sliced(build.sliced(frame, 2, top, 1, rows), 3, left, 1, columns);
  const ViewId used = build.sliced(build.sliced(image, 2, 0, 1, rows), 3, 0, 1, columns);
  build.add_step({}, -1, CopyStep{used, inside});
  return frame;
}

}  // namespace

bool widen_taps(Lowering& lowering, IntegerProduct& product, const Shape& output) {
  PlanBuilder& build = lowering.build;
  const PlanView input = build.view(product.input);
  PlanWindow& window = product.window;
  IntegerWeights& weights = product.weights;
  if (product.axis != ChannelAxis::kSecond || product.groups != 1 || input.shape.size() != 4 ||
      input.shape[1] > kMostChannels || window.kernel_width < 2 || window.dilation_width != 1)
    return false;
  const int64_t channels = input.shape[1];
  const int64_t height = (output[2] - 1) * window.stride_height +
                         (window.kernel_height - 1) * window.dilation_height + 1;
  const int64_t width = (output[3] - 1) * window.stride_width + window.kernel_width;
  const ViewId frame =
      framed(lowering, product.input, window.pad_top, window.pad_left, height, width);
  PlanView rows = build.view(frame);
  rows.shape = {input.shape[0], window.kernel_width * channels, height, output[3]};
  rows.strides[3] = channels * window.stride_width;
  product.input = build.add_view(rows);
  // columns x taps x depth, taps row by row: the bytes stay where they are.
  weights.depth *= window.kernel_width;
  weights.taps /= window.kernel_width;
  window.kernel_width = 1;
  window.stride_width = 1;
  window.pad_top = 0;
  window.pad_left = 0;
  return true;
}

}  // namespace lathe
