#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "evaluate/evaluate.h"
#include "evaluate/window.h"
#include "ir/error.h"
#include "ir/seeded_random.h"
#include "layers/linear_layer.h"

namespace lathe {
namespace {

void check_positions(const std::vector<int64_t>& positions, int64_t all) {
  if (!positions.empty() && positions.back() >= all)
    throw bad_input("layers.shapes", "a layer computes a smaller output");
}

// Spatial offsets of one output position's taps; -1 in the padding.
void locate_taps(const Window& window, const std::vector<int64_t>& sizes,
                 const std::vector<int64_t>& outputs, int64_t position,
                 std::vector<int64_t>& taps) {
  const size_t rank = window.rank();
  std::vector<int64_t> start(rank);
  for (size_t i = rank; i-- > 0;) {
    start[i] = position % outputs[i] * window.strides[i] - window.begin[i];
    position /= outputs[i];
  }
  for (size_t t = 0; t < taps.size(); ++t) {
    auto rest = static_cast<int64_t>(t);
    int64_t offset = 0;
    int64_t step = 1;
    for (size_t i = rank; i-- > 0; step *= sizes[i]) {
      const int64_t at = start[i] + rest % window.kernel[i] * window.dilations[i];
      rest /= window.kernel[i];
      if (at < 0 || at >= sizes[i]) offset = -1;
      if (offset >= 0) offset += at * step;
    }
    taps[t] = offset;
  }
}

at::Tensor conv_rows(const Graph& graph, const LinearLayer& layer, const at::Tensor& input,
                     const std::vector<int64_t>& positions) {
  const EvaluateCall call{graph.node(layer.node), {}, {}, {}};
  const at::Tensor x = input.contiguous();
  const std::vector<int64_t> sizes = spatial_sizes(call, x);
  const Window window = read_window(call, layer.kernel, sizes);
  const std::vector<int64_t> outputs = window_outputs(call, window, sizes);
  const auto product = [](const std::vector<int64_t>& all) {
    return std::accumulate(all.begin(), all.end(), int64_t{1}, std::multiplies<>());
  };
  const int64_t channels = x.size(1);
  const int64_t pixels = product(sizes);
  const int64_t places = product(outputs);
  std::vector<int64_t> taps(static_cast<size_t>(product(layer.kernel)));
  const auto width = channels * static_cast<int64_t>(taps.size());
  if (width != layer.groups * layer.inputs)
    throw InternalError("a Conv's input does not fit its weights");
  check_positions(positions, x.size(0) * places);
  const at::Tensor rows = at::empty({static_cast<int64_t>(positions.size()), width}, at::kFloat);
  float* out = rows.data_ptr<float>();
  for (const int64_t position : positions) {
    locate_taps(window, sizes, outputs, position % places, taps);
    const float* image = x.data_ptr<float>() + position / places * channels * pixels;
    for (int64_t c = 0; c < channels; ++c, image += pixels)
      for (const int64_t tap : taps) *out++ = tap < 0 ? 0.0f : image[tap];
  }
  return rows;
}

}  // namespace

int64_t channel_axis(OpKind kind, int64_t rank) {
  const bool second = kind == OpKind::kConv || kind == OpKind::kConvTranspose ||
                      kind == OpKind::kBatchNormalization;
  return second ? 1 : rank - 1;
}

std::vector<int64_t> choose_positions(int64_t all, int64_t count, uint64_t seed, uint64_t stream) {
  std::vector<int64_t> positions(static_cast<size_t>(std::min(all, count)));
  if (all <= count) {
    std::iota(positions.begin(), positions.end(), 0);
    return positions;
  }
  SeededRandom random(seed, stream);
  // One of each of `count` equal stretches.
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = i * (all / count) + std::min(i, all % count);
    const int64_t length = all / count + (i < all % count ? 1 : 0);
    positions[static_cast<size_t>(i)] =
        begin + static_cast<int64_t>(random.next() % static_cast<uint64_t>(length));
  }
  return positions;
}

int64_t position_count(const at::Tensor& value, int64_t axis) {
  return value.size(axis) == 0 ? 0 : value.numel() / value.size(axis);
}

at::Tensor channel_rows(const at::Tensor& value, int64_t axis,
                        const std::vector<int64_t>& positions,
                        const std::vector<int32_t>& channels) {
  const at::Tensor x = value.to(at::kFloat).contiguous();
  const int64_t all = x.size(axis);
  int64_t inner = 1;
  for (int64_t i = axis + 1; i < x.dim(); ++i) inner *= x.size(i);
  const int64_t width = channels.empty() ? all : static_cast<int64_t>(channels.size());
  check_positions(positions, position_count(x, axis));
  for (const int32_t channel : channels)
    if (channel >= all) throw bad_input("layers.shapes", "a layer computes fewer channels");
  const at::Tensor rows = at::empty({static_cast<int64_t>(positions.size()), width}, at::kFloat);
  float* out = rows.data_ptr<float>();
  for (const int64_t position : positions) {
    const float* in = x.data_ptr<float>() + position / inner * all * inner + position % inner;
    for (int64_t c = 0; c < width; ++c)
      *out++ = in[(channels.empty() ? c : channels[static_cast<size_t>(c)]) * inner];
  }
  return rows;
}

at::Tensor input_rows(const Graph& graph, const LinearLayer& layer, const at::Tensor& input,
                      const std::vector<int64_t>& positions) {
  const at::Tensor x = input.to(at::kFloat);
  return graph.node(layer.node).kind == OpKind::kConv ? conv_rows(graph, layer, x, positions)
                                                      : channel_rows(x, x.dim() - 1, positions, {});
}

}  // namespace lathe
