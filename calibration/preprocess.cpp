#include "calibration/preprocess.h"

#include <fmt/format.h>

#include <cmath>

#include "calibration/resize_image.h"
#include "ir/error.h"

namespace lathe {
namespace {

using Layout = PictureTarget::Layout;

bool is_channel_count(const Dim& dim) {
  return dim.known() && (dim.size == 1 || dim.size == 3 || dim.size == 4);
}

std::optional<int64_t> known(const Dim& dim) {
  return dim.known() ? std::optional(dim.size) : std::nullopt;
}

double per_channel(const std::vector<double>& values, size_t channel, double fallback) {
  return values.empty() ? fallback : values[values.size() == 1 ? 0 : channel];
}

void check_channels(const InputSpec& spec, int64_t channels, const std::string& where) {
  for (const auto* values : {&spec.mean, &spec.std})
    if (values->size() > 1 && values->size() != static_cast<size_t>(channels))
      throw bad_input(
          "data.channels",
          fmt::format("mean or std has {} values for {} channels", values->size(), channels),
          where);
}

template <class T>
T fill_value(double value) {
  if constexpr (std::is_same_v<T, uint8_t>)
    return static_cast<uint8_t>(std::lround(std::fmin(255.0, std::fmax(0.0, value))));
  else
    return static_cast<T>(value);
}

template <class T>
Pixels<T> apply_geometry(Pixels<T> picture, const InputSpec& spec) {
  if (spec.color) picture = convert_color(std::move(picture), *spec.color);
  if (spec.resize_short) {
    const auto [height, width] = short_side_size(picture.height, picture.width, *spec.resize_short);
    picture = resize_bilinear(picture, height, width);
  }
  if (spec.resize) picture = resize_bilinear(picture, (*spec.resize)[0], (*spec.resize)[1]);
  if (spec.letterbox)
    picture = letterbox(picture, spec.letterbox->height, spec.letterbox->width,
                        fill_value<T>(spec.letterbox->value), spec.letterbox->align);
  if (spec.center_crop)
    picture = center_crop(picture, (*spec.center_crop)[0], (*spec.center_crop)[1]);
  return picture;
}

Shape target_shape(const PictureTarget& target, int64_t height, int64_t width, int64_t channels) {
  Shape shape;
  if (target.batch) shape.push_back(1);
  switch (target.layout) {
    case Layout::kChw: shape.insert(shape.end(), {channels, height, width}); break;
    case Layout::kHwc: shape.insert(shape.end(), {height, width, channels}); break;
    case Layout::kHw: shape.insert(shape.end(), {height, width}); break;
    case Layout::kFlat: shape.push_back(channels * height * width); break;
  }
  if (target.layout == Layout::kHw && channels != 1)
    throw bad_input("data.channels",
                    fmt::format("the model's input has no axis for {} channels", channels), {},
                    "\"color\": \"gray\" makes one channel");
  return shape;
}

template <class T>
Tensor finish_picture(Pixels<T> picture, const InputSpec& spec, const ModelInput& input,
                      const std::string& where) {
  const auto target = picture_target(input.dims);
  if (!target)
    throw bad_input("data.shape",
                    fmt::format("the model's input {} of shape {} takes no pictures",
                                escape_untrusted(input.name), dims_text(input.dims)),
                    where);
  try {
    picture = apply_geometry(std::move(picture), spec);
    const auto channels = static_cast<size_t>(picture.channels);
    const auto pixels = static_cast<size_t>(picture.height * picture.width);
    check_channels(spec, picture.channels, {});
    Shape shape = target_shape(*target, picture.height, picture.width, picture.channels);
    check_fits(shape, input, {});
    std::vector<double> values(picture.values.size());
    for (size_t c = 0; c < channels; ++c) {
      const double mean = per_channel(spec.mean, c, 0);
      const double std = per_channel(spec.std, c, 1);
      for (size_t i = 0; i < pixels; ++i) {
        const double x =
            (static_cast<double>(picture.values[i * channels + c]) * spec.scale - mean) / std;
        values[target->layout == Layout::kHwc ? i * channels + c : c * pixels + i] = x;
      }
    }
    return tensor_from_doubles(input.dtype, std::move(shape), values, {});
  } catch (const Error& error) {
    throw error.within(where);
  }
}

// Position of each letter of the layout after dropping N; -1 when absent.
struct Axes {
  int64_t height = -1, width = -1, channels = -1;
};

std::optional<Axes> picture_axes(const Shape& sample, const std::optional<std::string>& layout) {
  const auto is_count = [](int64_t size) { return size == 1 || size == 3 || size == 4; };
  std::string letters;
  if (layout)
    letters = (*layout)[0] == 'N' ? layout->substr(1) : *layout;
  else if (sample.size() == 2)
    letters = "HW";
  else if (sample.size() == 3 && is_count(sample[2]))
    letters = "HWC";
  else if (sample.size() == 3 && is_count(sample[0]))
    letters = "CHW";
  if (letters.empty() || letters.size() != sample.size()) return std::nullopt;
  const auto find = [&](char c) {
    const size_t at = letters.find(c);
    return at == std::string::npos ? int64_t{-1} : static_cast<int64_t>(at);
  };
  return Axes{find('H'), find('W'), find('C')};
}

template <class T>
Pixels<T> to_pixels(const Tensor& sample, const Axes& axes) {
  const auto size = [&](int64_t axis) {
    return axis < 0 ? int64_t{1} : sample.shape()[static_cast<size_t>(axis)];
  };
  const auto stride = [&](int64_t axis) {
    int64_t step = axis < 0 ? 0 : 1;
    for (size_t i = static_cast<size_t>(axis) + 1; axis >= 0 && i < sample.shape().size(); ++i)
      step *= sample.shape()[i];
    return step;
  };
  Pixels<T> out{size(axes.height), size(axes.width), size(axes.channels), {}};
  check_pixels(out.height, out.width);
  const auto values = sample.values<T>();
  out.values.resize(values.size());
  const int64_t step_h = stride(axes.height), step_w = stride(axes.width),
                step_c = stride(axes.channels);
  size_t to = 0;
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x)
      for (int64_t c = 0; c < out.channels; ++c)
        out.values[to++] = values[static_cast<size_t>(y * step_h + x * step_w + c * step_c)];
  return out;
}

// The model's shape for `sample` (without batch), when they agree.
std::optional<Shape> value_shape(const Shape& sample, const Dims& dims) {
  Shape batched = sample;
  batched.insert(batched.begin(), 1);
  if (fits(batched, dims)) return batched;
  if (fits(sample, dims)) return sample;
  // Axes of 1 come and go: the others must be met in order.
  Shape core;
  for (const int64_t size : sample)
    if (size != 1) core.push_back(size);
  Shape shape;
  size_t at = 0;
  for (size_t i = 0; i < dims.size(); ++i) {
    const bool last_unknowns = at < core.size() && dims.size() - i == core.size() - at;
    if (at < core.size() &&
        ((dims[i].known() && dims[i].size == core[at]) || (!dims[i].known() && last_unknowns)))
      shape.push_back(core[at++]);
    else
      shape.push_back(1);
  }
  if (at == core.size() && fits(shape, dims)) return shape;
  const Shape flat = {1, element_count(sample)};
  if (fits(flat, dims)) return flat;
  return std::nullopt;
}

Tensor swap_last_axes(const Tensor& tensor) {
  const int64_t rows = tensor.shape()[0], columns = tensor.shape()[1];
  const std::vector<double> values = tensor.to_double();
  std::vector<double> out(values.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      out[static_cast<size_t>(c * rows + r)] = values[static_cast<size_t>(r * columns + c)];
  return Tensor::of<double>({columns, rows}, out);
}

Tensor normalized(const Tensor& sample, const InputSpec& spec, const std::string& where) {
  if (!spec.has_arithmetic()) return sample;
  const int64_t channels = sample.shape().empty() ? 1 : sample.shape().back();
  check_channels(spec, channels, where);
  std::vector<double> values = sample.to_double();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = i % static_cast<size_t>(channels);
    values[i] =
        (values[i] * spec.scale - per_channel(spec.mean, c, 0)) / per_channel(spec.std, c, 1);
  }
  return Tensor::of<double>(sample.shape(), values);
}

}  // namespace

std::optional<PictureTarget> picture_target(const Dims& dims) {
  PictureTarget target;
  if (dims.size() == 4) {
    const bool last = !is_channel_count(dims[1]) && dims[1].known() && is_channel_count(dims[3]);
    target.layout = last ? Layout::kHwc : Layout::kChw;
    const size_t first = last ? 1 : 2;
    target.channels = known(dims[last ? 3 : 1]);
    target.height = known(dims[first]);
    target.width = known(dims[first + 1]);
    return target;
  }
  if (dims.size() == 3) {
    const bool first = dims[0].known() && dims[0].size == 3;
    const bool last = dims[2].known() && dims[2].size == 3;
    target.batch = !first && !last;
    target.layout = first ? Layout::kChw : last ? Layout::kHwc : Layout::kHw;
    target.channels = target.batch ? 1 : 3;
    target.height = known(dims[last && !first ? 0 : 1]);
    target.width = known(dims[last && !first ? 1 : 2]);
    return target;
  }
  if (dims.size() != 2) return std::nullopt;
  target.layout = Layout::kFlat;
  return target;
}

bool is_picture(const Shape& sample, const std::optional<std::string>& layout) {
  return picture_axes(sample, layout).has_value();
}

Tensor preprocess_picture(Pixels<uint8_t> picture, const InputSpec& spec, const ModelInput& input,
                          const std::string& where) {
  return finish_picture(std::move(picture), spec, input, where);
}

Tensor preprocess_picture(const Tensor& sample, const InputSpec& spec, const ModelInput& input,
                          const std::string& where) {
  const auto axes = picture_axes(sample.shape(), spec.layout);
  if (!axes)
    throw bad_input("data.layout",
                    fmt::format("a sample of shape {} is no picture{}", shape_text(sample.shape()),
                                spec.layout ? " of layout " + *spec.layout : std::string()),
                    where, "\"layout\" names the axes of the array, for example NHWC");
  if (sample.dtype() == DType::kUInt8)
    return finish_picture(to_pixels<uint8_t>(sample, *axes), spec, input, where);
  return finish_picture(to_pixels<float>(convert_dtype(sample, DType::kFloat32, where), *axes),
                        spec, input, where);
}

Tensor preprocess_values(const Tensor& sample, const InputSpec& spec, const ModelInput& input,
                         const std::string& where) {
  Tensor values = normalized(sample, spec, where);
  std::optional<Shape> shape = value_shape(values.shape(), input.dims);
  if (!shape && values.rank() == 2 && input.dims.size() == 3) {
    const Shape swapped = {1, values.shape()[1], values.shape()[0]};
    if (fits(swapped, input.dims)) {
      values = swap_last_axes(values);
      shape = swapped;
    }
  }
  if (!shape) {
    Shape batched = values.shape();
    batched.insert(batched.begin(), 1);
    check_fits(batched, input, where);
  }
  return convert_dtype(values, input.dtype, where).reshaped(*shape);
}

}  // namespace lathe
