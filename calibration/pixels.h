// Pictures in memory, and the geometry that data specs ask for.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace lathe {

/// Most pixels of a picture, decoded or resized.
constexpr int64_t kMaxPixels = int64_t{64} << 20;

/// Rows of pixels of interleaved channels: values[(y * width + x) * channels + c].
template <class T>
struct Pixels {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  std::vector<T> values;
};

enum class ColorOrder : uint8_t { kRgb, kBgr, kGray };
enum class Align : uint8_t { kCorner, kCenter };

/// From RGB or grey (one channel). Grey of RGB as Pillow's mode L: ITU-R 601 luma in 16-bit fixed
/// point, (19595 R + 38470 G + 7471 B + 32768) >> 16. Throws Error (exit 3) for other channel
/// counts.
template <class T>
Pixels<T> convert_color(Pixels<T> picture, ColorOrder color);

/// The size with the short side `side` and the other one round(long * side / short), at least 1:
/// {height, width}.
std::array<int64_t, 2> short_side_size(int64_t height, int64_t width, int64_t side);

/// Resized to fit into height x width with its proportions (sides rounded), the rest filled with
/// `value`; kCorner puts the picture at the top left, kCenter at floor of half the difference.
template <class T>
Pixels<T> letterbox(const Pixels<T>& picture, int64_t height, int64_t width, T value, Align align);

/// The middle, offset floor of half the difference. Throws Error (exit 3) when the picture is
/// smaller than the crop.
template <class T>
Pixels<T> center_crop(const Pixels<T>& picture, int64_t height, int64_t width);

}  // namespace lathe
