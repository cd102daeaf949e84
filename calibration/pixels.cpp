#include "calibration/pixels.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "calibration/resize_image.h"
#include "ir/error.h"

namespace lathe {
namespace {

template <class T>
T luma(T red, T green, T blue) {
  if constexpr (std::is_same_v<T, uint8_t>)
    return static_cast<T>((red * 19595u + green * 38470u + blue * 7471u + 32768u) >> 16);
  else
    return static_cast<T>((red * 19595.0 + green * 38470.0 + blue * 7471.0) / 65536.0);
}

// round(a * b / c), halves up, without loss.
int64_t rounded(int64_t a, int64_t b, int64_t c) {
  const __int128 twice = static_cast<__int128>(a) * b * 2 + c;
  return std::max<int64_t>(1, static_cast<int64_t>(twice / (static_cast<__int128>(c) * 2)));
}

}  // namespace

template <class T>
Pixels<T> convert_color(Pixels<T> picture, ColorOrder color) {
  if (picture.channels != 1 && picture.channels != 3)
    throw bad_input("data.channels", fmt::format("a picture with {} channels has no known colours",
                                                 picture.channels));
  const int64_t wanted = color == ColorOrder::kGray ? 1 : 3;
  const int64_t count = picture.height * picture.width;
  if (picture.channels == 1 && wanted == 1) return picture;
  if (picture.channels == 3 && wanted == 3) {
    if (color == ColorOrder::kBgr)
      for (int64_t i = 0; i < count; ++i)
        std::swap(picture.values[static_cast<size_t>(3 * i)],
                  picture.values[static_cast<size_t>(3 * i + 2)]);
    return picture;
  }
  Pixels<T> out{picture.height, picture.width, wanted, {}};
  out.values.reserve(static_cast<size_t>(count * wanted));
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    const T* from = picture.values.data() + i * static_cast<size_t>(picture.channels);
    if (wanted == 1)
      out.values.push_back(luma(from[0], from[1], from[2]));
    else
      out.values.insert(out.values.end(), 3, from[0]);
  }
  return out;
}

std::array<int64_t, 2> short_side_size(int64_t height, int64_t width, int64_t side) {
  if (height <= width) return {side, rounded(width, side, height)};
  return {rounded(height, side, width), side};
}

template <class T>
Pixels<T> letterbox(const Pixels<T>& picture, int64_t height, int64_t width, T value, Align align) {
  // The side that limits: height / picture.height <= width / picture.width.
  const bool by_height = height * picture.width <= width * picture.height;
  const int64_t inner_height =
      by_height ? height : std::min(height, rounded(picture.height, width, picture.width));
  const int64_t inner_width =
      by_height ? std::min(width, rounded(picture.width, height, picture.height)) : width;
  check_pixels(height, width);
  const Pixels<T> inner = resize_bilinear(picture, inner_height, inner_width);
  Pixels<T> out{height, width, picture.channels, {}};
  out.values.assign(static_cast<size_t>(height * width * picture.channels), value);
  const int64_t top = align == Align::kCenter ? (height - inner_height) / 2 : 0;
  const int64_t left = align == Align::kCenter ? (width - inner_width) / 2 : 0;
  const int64_t row = inner_width * picture.channels;
  for (int64_t y = 0; y < inner_height; ++y)
    std::copy_n(inner.values.begin() + y * row, row,
                out.values.begin() + ((top + y) * width + left) * picture.channels);
  return out;
}

template <class T>
Pixels<T> center_crop(const Pixels<T>& picture, int64_t height, int64_t width) {
  if (height > picture.height || width > picture.width)
    throw bad_input("data.crop",
                    fmt::format("a crop of {}x{} from a picture of {}x{}", height, width,
                                picture.height, picture.width),
                    {}, "resize_short makes pictures large enough");
  Pixels<T> out{height, width, picture.channels, {}};
  out.values.resize(static_cast<size_t>(height * width * picture.channels));
  const int64_t top = (picture.height - height) / 2;
  const int64_t left = (picture.width - width) / 2;
  const int64_t row = width * picture.channels;
  for (int64_t y = 0; y < height; ++y)
    std::copy_n(picture.values.begin() + ((top + y) * picture.width + left) * picture.channels, row,
                out.values.begin() + y * row);
  return out;
}

template Pixels<uint8_t> convert_color(Pixels<uint8_t>, ColorOrder);
template Pixels<float> convert_color(Pixels<float>, ColorOrder);
template Pixels<uint8_t> letterbox(const Pixels<uint8_t>&, int64_t, int64_t, uint8_t, Align);
template Pixels<float> letterbox(const Pixels<float>&, int64_t, int64_t, float, Align);
template Pixels<uint8_t> center_crop(const Pixels<uint8_t>&, int64_t, int64_t);
template Pixels<float> center_crop(const Pixels<float>&, int64_t, int64_t);

}  // namespace lathe
