#include "quantize/plan/saturation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "evaluate/evaluate.h"
#include "evaluate/window.h"
#include "ir/error.h"

namespace lathe {
namespace {

constexpr float kLowest = -32768.0f;
constexpr float kHighest = 32767.0f;
constexpr int64_t kLargestInput = 255;
constexpr int64_t kTileFloats = int64_t{1} << 20;

int64_t product(const std::vector<int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

bool leaves_16_bits(int64_t sum) { return sum > 32767 || sum < -32768; }

// Two neighbours whose sum can leave 16 bits.
struct RiskyPair {
  int64_t at = 0;  // index of the first in its row
  float first = 0;
  float second = 0;
};

std::vector<RiskyPair> risky_pairs(const PairLayer& layer, int64_t row) {
  std::vector<RiskyPair> pairs;
  const int8_t* weights = layer.rows.data() + row * layer.inputs;
  for (int64_t i = 0; i + 1 < layer.inputs; i += 2) {
    const int64_t a = weights[i];
    const int64_t b = weights[i + 1];
    const int64_t high = kLargestInput * (std::max<int64_t>(a, 0) + std::max<int64_t>(b, 0));
    const int64_t low = kLargestInput * (std::min<int64_t>(a, 0) + std::min<int64_t>(b, 0));
    if (leaves_16_bits(high) || leaves_16_bits(low))
      pairs.push_back({i, static_cast<float>(a), static_cast<float>(b)});
  }
  return pairs;
}

// The pairs of one group's rows, and which elements of a row they read.
struct RiskyRows {
  std::vector<std::vector<RiskyPair>> pairs;  // by output
  std::vector<bool> used;
  bool any = false;
};

RiskyRows risky_rows(const PairLayer& layer, int64_t group) {
  RiskyRows rows;
  rows.used.resize(static_cast<size_t>(layer.inputs));
  for (int64_t o = 0; o < layer.outputs; ++o) {
    rows.pairs.push_back(risky_pairs(layer, group * layer.outputs + o));
    for (const RiskyPair& pair : rows.pairs.back()) {
      rows.used[static_cast<size_t>(pair.at)] = rows.used[static_cast<size_t>(pair.at) + 1] = true;
      rows.any = true;
    }
  }
  return rows;
}

int64_t tile_width(const PairLayer& layer) {
  return std::clamp<int64_t>(kTileFloats / std::max<int64_t>(1, layer.inputs), 1, 8192);
}

// One pair at `count` positions: what saturation changes goes to `changes`. float32 holds every
// such sum exactly.
void add_pair(const RiskyPair& pair, const float* a, const float* b, int64_t count,
              uint32_t* changes, SaturationCount& total) {
  constexpr auto kNear = static_cast<float>(32767 * kNearShare);
  int32_t saturating = 0;
  int32_t near = 0;
  for (int64_t p = 0; p < count; ++p) {
    const float sum = pair.first * a[p] + pair.second * b[p];
    const float kept = std::min(std::max(sum, kLowest), kHighest);
    const auto change = static_cast<int32_t>(kept - sum);
    changes[p] += static_cast<uint32_t>(change);  // wraps as the device's 32 bits
    saturating += change != 0 ? 1 : 0;
    near += sum > kNear || sum < -kNear ? 1 : 0;
  }
  total.saturating += saturating;
  total.near += near;
}

// Columns [inputs, width] of a tile, of which `count` positions are filled.
struct Tile {
  std::vector<float> columns;
  int64_t width = 0;
  int64_t count = 0;
  int64_t first = 0;  // number of its first position
};

// Where the element (output o, position p) of a group's correction is.
struct Place {
  float* data = nullptr;  // nullptr: not asked
  int64_t output_stride = 0;
  int64_t position_stride = 0;
};

class Counter {
 public:
  Counter(const PairLayer& layer, const std::vector<float>& scales)
      : layer_(layer), scales_(scales), changes_(static_cast<size_t>(tile_width(layer))) {}

  void add(const RiskyRows& rows, int64_t group, const Tile& tile, const Place& place) {
    for (int64_t o = 0; o < layer_.outputs; ++o) {
      const std::vector<RiskyPair>& pairs = rows.pairs[static_cast<size_t>(o)];
      if (pairs.empty()) continue;
      const int64_t before = total.saturating;
      std::fill_n(changes_.begin(), tile.count, 0);
      for (const RiskyPair& pair : pairs) {
        const float* column = tile.columns.data() + pair.at * tile.width;
        add_pair(pair, column, column + tile.width, tile.count, changes_.data(), total);
      }
      if (total.saturating == before) continue;
      const auto channel = static_cast<size_t>(group * layer_.outputs + o);
      const double scale = scales_.size() == 1 ? scales_[0] : scales_.at(channel);
      float* out = nullptr;
      if (place.data != nullptr)
        out = place.data + o * place.output_stride + tile.first * place.position_stride;
      double squares = 0;
      for (int64_t p = 0; p < tile.count; ++p) {
        const double change = static_cast<int32_t>(changes_[static_cast<size_t>(p)]);
        squares += change * change;
        if (out != nullptr) out[p * place.position_stride] = static_cast<float>(change);
      }
      total.lost.resize(static_cast<size_t>(layer_.groups * layer_.outputs));
      total.lost[channel] += squares * scale * scale;
    }
  }

  SaturationCount total;

 private:
  const PairLayer& layer_;
  const std::vector<float>& scales_;
  std::vector<uint32_t> changes_;
};

struct ConvGeometry {
  Window window;
  std::vector<int64_t> sizes;
  std::vector<int64_t> outputs;
};

// Offsets [taps, count] of a tile's taps in one channel's plane; -1 in the padding.
void locate(const ConvGeometry& geometry, int64_t first, int64_t count,
            std::vector<int64_t>& offsets) {
  const Window& window = geometry.window;
  const size_t rank = window.rank();
  const int64_t taps = product(window.kernel);
  offsets.resize(static_cast<size_t>(taps * count));
  std::vector<int64_t> start(rank);
  for (int64_t p = 0; p < count; ++p) {
    int64_t position = first + p;
    for (size_t i = rank; i-- > 0;) {
      start[i] = position % geometry.outputs[i] * window.strides[i] - window.begin[i];
      position /= geometry.outputs[i];
    }
    for (int64_t t = 0; t < taps; ++t) {
      int64_t rest = t;
      int64_t offset = 0;
      int64_t step = 1;
      bool inside = true;
      for (size_t i = rank; i-- > 0; step *= geometry.sizes[i]) {
        const int64_t at = start[i] + rest % window.kernel[i] * window.dilations[i];
        rest /= window.kernel[i];
        inside = inside && at >= 0 && at < geometry.sizes[i];
        offset += at * step;
      }
      offsets[static_cast<size_t>(t * count + p)] = inside ? offset : -1;
    }
  }
}

SaturationCount count_conv(const PairLayer& layer, const Node& node, const at::Tensor& input,
                           float padding, const std::vector<float>& scales, at::Tensor& correction,
                           bool wanted) {
  const EvaluateCall call{node, {}, {}, {}};
  const at::Tensor x = input.contiguous();
  ConvGeometry geometry;
  geometry.sizes = spatial_sizes(call, x);
  geometry.window = read_window(call, layer.kernel, geometry.sizes);
  geometry.outputs = window_outputs(call, geometry.window, geometry.sizes);
  const int64_t batch = x.size(0);
  const int64_t pixels = product(geometry.sizes);
  const int64_t places = product(geometry.outputs);
  const int64_t taps = product(layer.kernel);
  if (x.size(1) != layer.groups * layer.channels)
    throw bad_input("quantize.shapes", "the input does not fit the layer's weights");
  const int64_t filters = layer.groups * layer.outputs;
  if (wanted) {
    std::vector<int64_t> shape = {batch, filters};
    shape.insert(shape.end(), geometry.outputs.begin(), geometry.outputs.end());
    checked_elements(shape);
    correction = at::zeros(shape, at::kFloat);
  }
  Counter counter(layer, scales);
  counter.total.pairs = batch * places * filters * (layer.inputs / 2);
  Tile tile;
  tile.width = tile_width(layer);
  tile.columns.resize(static_cast<size_t>(layer.inputs * tile.width));
  std::vector<int64_t> offsets;
  for (int64_t group = 0; group < layer.groups; ++group) {
    const RiskyRows rows = risky_rows(layer, group);
    if (!rows.any) continue;
    for (int64_t n = 0; n < batch; ++n) {
      const float* image =
          x.data_ptr<float>() + (n * layer.groups + group) * layer.channels * pixels;
      Place place{nullptr, places, 1};
      if (wanted)
        place.data = correction.data_ptr<float>() + (n * filters + group * layer.outputs) * places;
      for (tile.first = 0; tile.first < places; tile.first += tile.width) {
        tile.count = std::min(tile.width, places - tile.first);
        locate(geometry, tile.first, tile.count, offsets);
        for (int64_t t = 0; t < taps; ++t) {
          const int64_t* offset = offsets.data() + t * tile.count;
          for (int64_t c = 0; c < layer.channels; ++c) {
            const int64_t k = t * layer.channels + c;
            if (!rows.used[static_cast<size_t>(k)]) continue;
            const float* plane = image + c * pixels;
            float* column = tile.columns.data() + k * tile.width;
            for (int64_t p = 0; p < tile.count; ++p)
              column[p] = offset[p] < 0 ? padding : plane[offset[p]];
          }
        }
        counter.add(rows, group, tile, place);
      }
    }
  }
  return counter.total;
}

SaturationCount count_matrix(const PairLayer& layer, const at::Tensor& input,
                             const std::vector<float>& scales, at::Tensor& correction,
                             bool wanted) {
  at::Tensor x = input;
  if (layer.transposed_input && x.dim() == 2) x = x.t();
  x = x.contiguous();
  if (x.dim() < 1 || x.size(-1) != layer.inputs)
    throw bad_input("quantize.shapes", "the input does not fit the layer's weights");
  const int64_t positions = layer.inputs == 0 ? 0 : x.numel() / layer.inputs;
  if (wanted) {
    std::vector<int64_t> shape = x.sizes().vec();
    shape.back() = layer.outputs;
    checked_elements(shape);
    correction = at::zeros(shape, at::kFloat);
  }
  Counter counter(layer, scales);
  counter.total.pairs = positions * layer.outputs * (layer.inputs / 2);
  const RiskyRows rows = risky_rows(layer, 0);
  if (!rows.any) return counter.total;
  Tile tile;
  tile.width = tile_width(layer);
  tile.columns.resize(static_cast<size_t>(layer.inputs * tile.width));
  const Place place{wanted ? correction.data_ptr<float>() : nullptr, 1, layer.outputs};
  for (tile.first = 0; tile.first < positions; tile.first += tile.width) {
    tile.count = std::min(tile.width, positions - tile.first);
    const float* first = x.data_ptr<float>() + tile.first * layer.inputs;
    for (int64_t p = 0; p < tile.count; ++p)
      for (int64_t k = 0; k < layer.inputs; ++k)
        tile.columns[static_cast<size_t>(k * tile.width + p)] = first[p * layer.inputs + k];
    counter.add(rows, 0, tile, place);
  }
  return counter.total;
}

// The two largest and the two smallest weights of a row, 0 where it has no such sign.
struct Extremes {
  int64_t high[2] = {0, 0};
  int64_t low[2] = {0, 0};
  int64_t above() const { return kLargestInput * (high[0] + high[1]); }
  int64_t below() const { return kLargestInput * (low[0] + low[1]); }
  bool possible() const { return leaves_16_bits(above()) || leaves_16_bits(below()); }
};

Extremes extremes(const PairLayer& layer, int64_t row) {
  Extremes found;
  const int8_t* weights = layer.rows.data() + row * layer.inputs;
  for (int64_t i = 0; i < layer.inputs; ++i) {
    const int64_t w = weights[i];
    if (w > found.high[1]) found.high[1] = w;
    if (found.high[1] > found.high[0]) std::swap(found.high[0], found.high[1]);
    if (w < found.low[1]) found.low[1] = w;
    if (found.low[1] < found.low[0]) std::swap(found.low[0], found.low[1]);
  }
  return found;
}

std::optional<PairLayer> conv_layer(const Node& node, const Tensor& weight) {
  const Shape& shape = weight.shape();
  PairLayer layer;
  layer.groups = node.attributes.int_or("group", 1);
  if (shape.size() < 3 || shape.size() > 5 || layer.groups < 1 || shape[0] % layer.groups != 0)
    return std::nullopt;
  layer.outputs = shape[0] / layer.groups;
  layer.channels = shape[1];
  layer.kernel.assign(shape.begin() + 2, shape.end());
  const int64_t taps = product(layer.kernel);
  layer.inputs = layer.channels * taps;
  if (layer.groups > 1 && layer.channels == 1 && layer.outputs == 1) return std::nullopt;
  const auto values = weight.values<int8_t>();
  layer.rows.resize(values.size());
  for (int64_t o = 0; o < shape[0]; ++o)
    for (int64_t c = 0; c < layer.channels; ++c)
      for (int64_t t = 0; t < taps; ++t)
        layer.rows[static_cast<size_t>(o * layer.inputs + t * layer.channels + c)] =
            values[static_cast<size_t>((o * layer.channels + c) * taps + t)];
  return layer;
}

std::optional<PairLayer> matrix_layer(const Node& node, const Tensor& weight) {
  const bool gemm = node.kind == OpKind::kGemm || node.kind == OpKind::kQGemm;
  const bool output_major = gemm && node.attributes.int_or("transB", 0) != 0;
  Shape shape = weight.shape();
  if (shape.size() == 1) shape.push_back(1);
  if (shape.size() < 2 || weight.numel() == 0) return std::nullopt;
  PairLayer layer;
  layer.transposed_input = gemm && node.attributes.int_or("transA", 0) != 0;
  layer.countable = weight.rank() == 2;
  const int64_t rows = shape[shape.size() - 2];
  const int64_t columns = shape.back();
  layer.inputs = output_major ? columns : rows;
  const int64_t stack = weight.numel() / (rows * columns);
  layer.outputs = (output_major ? rows : columns) * stack;
  const auto values = weight.values<int8_t>();
  if (output_major) {
    layer.rows.assign(values.begin(), values.end());
    return layer;
  }
  layer.rows.resize(values.size());
  for (int64_t s = 0; s < stack; ++s)
    for (int64_t k = 0; k < rows; ++k)
      for (int64_t n = 0; n < columns; ++n)
        layer.rows[static_cast<size_t>((s * columns + n) * rows + k)] =
            values[static_cast<size_t>((s * rows + k) * columns + n)];
  return layer;
}

}  // namespace

std::optional<PairLayer> pair_layer(const Node& node, const Tensor& weight) {
  if (weight.dtype() != DType::kInt8) return std::nullopt;
  switch (node.kind) {
    case OpKind::kConv:
    case OpKind::kConvInteger:
    case OpKind::kQLinearConv: return conv_layer(node, weight);
    case OpKind::kGemm:
    case OpKind::kQGemm:
    case OpKind::kMatMul:
    case OpKind::kMatMulInteger:
    case OpKind::kQLinearMatMul:
    case OpKind::kMatMulIntegerToFloat:
    case OpKind::kDynamicQuantizeMatMul: return matrix_layer(node, weight);
    default: return std::nullopt;
  }
}

SaturationBound saturation_bound(const PairLayer& layer) {
  SaturationBound bound;
  for (int64_t row = 0; row < layer.groups * layer.outputs; ++row) {
    const Extremes found = extremes(layer, row);
    bound.largest = std::max({bound.largest, found.above(), -found.below()});
    bound.rows += found.possible() ? 1 : 0;
  }
  return bound;
}

std::vector<float> widening_factors(const PairLayer& layer, size_t scales) {
  // 128 * 255 fits; two more leave room for integers that are rounded the other way.
  constexpr float kFitting = 126.0f;
  std::vector<float> factors(scales, 1.0f);
  for (int64_t row = 0; row < layer.groups * layer.outputs; ++row) {
    const Extremes found = extremes(layer, row);
    if (!found.possible()) continue;
    const int64_t sum = std::max(found.above(), -found.below()) / kLargestInput;
    float& factor = factors.at(scales == 1 ? 0 : static_cast<size_t>(row));
    factor = std::max(factor, static_cast<float>(sum) / kFitting);
  }
  return factors;
}

void SaturationCount::merge(const SaturationCount& next) {
  pairs += next.pairs;
  saturating += next.saturating;
  near += next.near;
  if (lost.size() < next.lost.size()) lost.resize(next.lost.size());
  for (size_t i = 0; i < next.lost.size(); ++i) lost[i] += next.lost[i];
}

SaturationCount count_pairs(const PairLayer& layer, const Node& node, const at::Tensor& input,
                            float padding, const std::vector<float>& scales,
                            at::Tensor* correction) {
  if (!layer.countable) throw InternalError("a stack of matrices cannot be counted");
  at::Tensor changes;
  const bool wanted = correction != nullptr;
  const SaturationCount total =
      layer.is_conv() ? count_conv(layer, node, input, padding, scales, changes, wanted)
                      : count_matrix(layer, input, scales, changes, wanted);
  if (wanted && total.saturating > 0) *correction = changes;
  return total;
}

}  // namespace lathe
