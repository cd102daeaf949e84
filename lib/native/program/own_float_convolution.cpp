// Float convolutions as products of gathered rows: a row holds what a pixel of the output reads. A
// transposed convolution reads zeros where its taps fall between the input's pixels.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/bfloat16_panels.h"
#include "program/own_float_products.h"
#include "program/parallel_for.h"

namespace lathe {
namespace {

constexpr size_t kAxes = 3;

/// One spatial axis: which element of the input a tap reads for an element of the output.
struct TapAxis {
  int64_t outputs = 1;
  int64_t taps = 1;
  int64_t from_pitch = 0;
  int64_t to_pitch = 0;
  std::vector<int64_t> offsets{0};  // outputs x taps, times from_pitch; -1: outside

  int64_t at(int64_t output, int64_t tap) const {
    return offsets[static_cast<size_t>(output * taps + tap)];
  }
};

TapAxis tap_axis(const FloatConvStep& step, const BindContext& context, size_t axis) {
  const PlanView& from = context.view(step.input);
  const PlanView& to = context.view(step.output);
  TapAxis made{to.shape[axis + 2],
               context.view(step.weights).shape[axis + 2],
               from.strides[axis + 2],
               to.strides[axis + 2],
               {}};
  const int64_t stride = step.strides[axis];
  for (int64_t output = 0; output < made.outputs; ++output)
    for (int64_t tap = 0; tap < made.taps; ++tap) {
      const int64_t reach = tap * step.dilations[axis];
      int64_t index = step.transposed ? output + step.pads_begin[axis] - reach
                                      : output * stride - step.pads_begin[axis] + reach;
      bool inside = index >= 0;
      if (step.transposed) {
        inside = inside && index % stride == 0;
        index /= stride;
      }
      inside = inside && index < from.shape[axis + 2];
      made.offsets.push_back(inside ? index * made.from_pitch : -1);
    }
  return made;
}

class OwnConvolution : public BoundStep {
 public:
  OwnConvolution(const FloatConvStep& step, const BindContext& context)
      : threads_(context.threads),
        input_(context.address(step.input)),
        output_(context.address(step.output)),
        end_(row_end(step.tail)) {
    const PlanView& from = context.view(step.input);
    const PlanView& to = context.view(step.output);
    for (size_t axis = 0; axis + 2 < from.shape.size(); ++axis) {
      axes_[kAxes + axis + 2 - from.shape.size()] = tap_axis(step, context, axis);
      taps_ *= context.view(step.weights).shape[axis + 2];
    }
    image_pitch_ = {from.strides[0], to.strides[0]};
    channel_pitch_ = {from.shape[1] > 1 ? from.strides[1] : 1, to.shape[1] > 1 ? to.strides[1] : 1};
    groups_ = step.groups;
    channels_ = from.shape[1] / groups_;
    columns_ = to.shape[1] / groups_;
    is_depthwise_ = channels_ == 1 && columns_ == 1 && channel_pitch_[0] == 1;
    depth_ = taps_ * channels_;
    rows_ = element_count(to.shape) / std::max<int64_t>(to.shape[1], 1);
    blocks_ = (rows_ + kRowsTogether - 1) / kRowsTogether;
    zeros_.resize(static_cast<size_t>(std::max<int64_t>(channels_, 1)));
    bytes_ = rows_ * groups_ * (depth_ + columns_) * static_cast<int64_t>(sizeof(float));
    const float* bias = step.bias.valid() ? context.constant<float>(step.bias) : nullptr;
    if (is_depthwise_) {
      bias_ = padded_bias(bias, groups_);
      pack_depthwise(step, context);
    } else {
      for (int64_t g = 0; g < groups_; ++g) {
        const auto of_group =
            padded_bias(bias == nullptr ? nullptr : bias + g * columns_, columns_);
        bias_.insert(bias_.end(), of_group.begin(), of_group.end());
      }
      pack(step, context);
    }
    copies_ = taps_ > 1 || channel_pitch_[0] != 1;
    const int64_t sums = is_depthwise_ ? padded_columns(groups_) : sums_of_rows(columns_);
    floats_of_one_ =
        padded_columns(sums + (copies_ && !is_depthwise_ ? kRowsTogether * depth_ : 0));
    pixels_.resize(static_cast<size_t>(threads_ * taps_));
  }

  std::string_view implementation() const override {
    return bfloat16_ ? kOwnBFloat16Product : kOwnFloatProduct;
  }
  size_t scratch_bytes() const override {
    return static_cast<size_t>(threads_ * floats_of_one_) * sizeof(float);
  }
  void set_scratch(std::byte* bytes) override { scratch_ = reinterpret_cast<float*>(bytes); }

  void run(const ProgramMemory& memory) override {
    const auto* input = reinterpret_cast<const float*>(input_.in(memory));
    auto* output = reinterpret_cast<float*>(output_.in(memory));
    const int64_t groups = is_depthwise_ ? 1 : groups_;
    parallel_for(threads_, groups * blocks_, bytes_, [&](int thread, int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit)
        run_block(thread, unit / blocks_, unit % blocks_, input, output);
    });
  }

 private:
  /// A pixel of the output.
  struct Place {
    int64_t image = 0;
    std::array<int64_t, kAxes> at{};
  };

  Place place_of(int64_t row) const {
    Place place;
    for (size_t axis = kAxes; axis-- > 0;) {
      place.at[axis] = row % axes_[axis].outputs;
      row /= axes_[axis].outputs;
    }
    place.image = row;
    return place;
  }

  int64_t output_of(const Place& place) const {
    int64_t offset = place.image * image_pitch_[1];
    for (size_t axis = 0; axis < kAxes; ++axis) offset += place.at[axis] * axes_[axis].to_pitch;
    return offset;
  }

  // Of each tap the pixel that it reads; null outside.
  void find_pixels(const Place& place, const float* input, const float** pixels) const {
    const float* image = input + place.image * image_pitch_[0];
    for (int64_t i = 0; i < axes_[0].taps; ++i) {
      const int64_t first = axes_[0].at(place.at[0], i);
      for (int64_t j = 0; j < axes_[1].taps; ++j) {
        const int64_t second = axes_[1].at(place.at[1], j);
        for (int64_t k = 0; k < axes_[2].taps; ++k) {
          const int64_t third = axes_[2].at(place.at[2], k);
          const bool inside = first >= 0 && second >= 0 && third >= 0;
          *pixels++ = inside ? image + first + second + third : nullptr;
        }
      }
    }
  }

  void copy_row(const float* const* pixels, float* to) const {
    const int64_t pitch = channel_pitch_[0];
    for (int64_t tap = 0; tap < taps_; ++tap, to += channels_) {
      const float* pixel = pixels[tap];
      if (pixel == nullptr)
        std::fill_n(to, channels_, 0.0F);
      else if (pitch == 1)
        std::copy_n(pixel, channels_, to);
      else
        for (int64_t c = 0; c < channels_; ++c) to[c] = pixel[c * pitch];
    }
  }

  void run_block(int thread, int64_t group, int64_t block, const float* input,
                 float* output) const {
    const int64_t first = block * kRowsTogether;
    const int64_t count = std::min(kRowsTogether, rows_ - first);
    float* sums = scratch_ + thread * floats_of_one_;
    const float** pixels = pixels_.data() + thread * taps_;
    if (is_depthwise_) {
      for (int64_t r = 0; r < count; ++r) {
        const Place place = place_of(first + r);
        find_pixels(place, input, pixels);
        sum_depthwise_row({pixels, depthwise_.data(), bias_.data(), taps_, groups_}, sums);
        end_row(end_, sums, groups_, output + output_of(place), channel_pitch_[1]);
      }
      return;
    }
    const int64_t padded = padded_columns(columns_);
    float* gathered = sums + sums_of_rows(columns_);
    const float* from = input + group * channels_ * channel_pitch_[0];
    std::array<const float*, kRowsTogether> rows{};
    std::array<int64_t, kRowsTogether> to{};
    for (int64_t r = 0; r < count; ++r) {
      const auto i = static_cast<size_t>(r);
      const Place place = place_of(first + r);
      to[i] = output_of(place) + group * columns_ * channel_pitch_[1];
      find_pixels(place, from, pixels);
      if (copies_) {
        rows[i] = gathered + r * depth_;
        copy_row(pixels, gathered + r * depth_);
      } else {
        rows[i] = pixels[0] != nullptr ? pixels[0] : zeros_.data();
      }
    }
    sum_rows(products_[static_cast<size_t>(group)], rows.data(), count, sums);
    for (int64_t r = 0; r < count; ++r)
      end_row(end_, sums + r * padded, columns_, output + to[static_cast<size_t>(r)],
              channel_pitch_[1]);
  }

  /// The weights of a group as columns x taps x channels.
  std::vector<float> weights_of(const FloatConvStep& step, const float* values,
                                int64_t group) const {
    std::vector<float> made(static_cast<size_t>(columns_ * depth_));
    for (int64_t column = 0; column < columns_; ++column)
      for (int64_t c = 0; c < channels_; ++c) {
        // ONNX: out x in of a group x taps; transposed: in x out of a group x taps.
        const int64_t line = step.transposed ? (group * channels_ + c) * columns_ + column
                                             : (group * columns_ + column) * channels_ + c;
        for (int64_t tap = 0; tap < taps_; ++tap)
          made[static_cast<size_t>(column * depth_ + tap * channels_ + c)] =
              values[line * taps_ + tap];
      }
    return made;
  }

  void pack(const FloatConvStep& step, const BindContext& context) {
    const float* values = context.constant<float>(step.weights);
    bfloat16_ = step.bfloat16 && !step.transposed && has_bfloat16_products();
    const int64_t lines = packed_lines(columns_, depth_, bfloat16_);
    panels_ =
        packed_panels(step.weights, context, lines * groups_,
                      fmt::format("panels {} {} {} {}{}", groups_, columns_, depth_,
                                  step.transposed, bfloat16_ ? " bfloat16" : ""),
                      [&](FloatLine* to) {
                        for (int64_t g = 0; g < groups_; ++g)
                          pack_parts({weights_of(step, values, g).data(), columns_, depth_, depth_},
                                     bfloat16_, to + g * lines);
                      });
    for (int64_t g = 0; g < groups_; ++g)
      products_.push_back({context.isa, columns_, depth_, panels_.lines() + g * lines,
                           bias_.data() + g * padded_columns(columns_), bfloat16_});
  }

  void pack_depthwise(const FloatConvStep& step, const BindContext& context) {
    const float* values = context.constant<float>(step.weights);
    depthwise_.resize(static_cast<size_t>(taps_ * groups_));
    for (int64_t tap = 0; tap < taps_; ++tap)
      for (int64_t c = 0; c < groups_; ++c)
        depthwise_[static_cast<size_t>(tap * groups_ + c)] = values[c * taps_ + tap];
  }

  int threads_;
  ViewAddress input_;
  ViewAddress output_;
  RowEnd end_;
  std::array<TapAxis, kAxes> axes_;
  std::array<int64_t, 2> image_pitch_{};    // of input and output
  std::array<int64_t, 2> channel_pitch_{};  // likewise
  int64_t taps_ = 1;
  int64_t groups_ = 1;
  int64_t channels_ = 1;  // of a group's input
  int64_t columns_ = 1;   // of a group's output
  int64_t depth_ = 1;
  int64_t rows_ = 0;
  int64_t blocks_ = 0;
  int64_t bytes_ = 0;
  bool is_depthwise_ = false;
  bool bfloat16_ = false;
  bool copies_ = true;
  PackedPanels panels_;
  std::vector<FloatRowsProduct> products_;  // of each group
  std::vector<float> bias_;
  std::vector<float> depthwise_;  // taps x channels
  std::vector<float> zeros_;
  mutable std::vector<const float*> pixels_;  // of each thread
  int64_t floats_of_one_ = 0;
  float* scratch_ = nullptr;
};

}  // namespace

std::unique_ptr<BoundStep> bind_own_float_conv(const FloatConvStep& step,
                                               const BindContext& context) {
  return std::make_unique<OwnConvolution>(step, context);
}

}  // namespace lathe
