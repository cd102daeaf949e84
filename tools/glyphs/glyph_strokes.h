// The ten digits and 26 capital letters as strokes of a pen: no font file, no licence, no
// rasteriser.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace lathe {

/// A place in the unit square; x grows to the right, y downwards.
struct Point {
  double x = 0;
  double y = 0;
};

/// The pen's way without lifting it, as a polyline. Arcs are flattened.
using Stroke = std::vector<Point>;

/// Label i is written as kGlyphNames[i].
inline constexpr std::string_view kGlyphNames = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Cosine (x) and sine (y) of an angle, from additions and multiplications alone, so that every
/// machine with IEEE doubles draws the same bytes. |error| < 1e-12 for |degrees| <= 3600.
Point direction(double degrees);

/// The strokes of a glyph inside [0.1, 0.9] squared. `label` < kGlyphNames.size().
std::vector<Stroke> glyph_strokes(size_t label);

}  // namespace lathe
