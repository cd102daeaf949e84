#include "render_glyph.h"

#include <algorithm>
#include <cmath>

#include "glyph_strokes.h"

namespace lathe {
namespace {

// Streams of one image: its label and its drawing must not share random numbers.
SplitMix image_stream(uint64_t seed, uint64_t index, uint64_t purpose) {
  SplitMix mix(seed * 2 + purpose);
  return SplitMix(mix.next() ^ (index * 0xD1342543DE82EF95ULL));
}

struct Segment {
  Point from;
  Point to;
};

// Only + - * / and sqrt: IEEE 754 rounds these the same way everywhere.
double distance(Point p, const Segment& s) {
  const double dx = s.to.x - s.from.x;
  const double dy = s.to.y - s.from.y;
  const double length_squared = dx * dx + dy * dy;
  double along = 0;
  if (length_squared > 0) {
    along = ((p.x - s.from.x) * dx + (p.y - s.from.y) * dy) / length_squared;
    along = std::clamp(along, 0.0, 1.0);
  }
  const double ex = p.x - (s.from.x + along * dx);
  const double ey = p.y - (s.from.y + along * dy);
  return std::sqrt(ex * ex + ey * ey);
}

// The glyph's segments in pixels after wobble, scale, shear, rotation and shift.
std::vector<Segment> place_strokes(size_t label, SplitMix& random, const Distortion& d) {
  const double side = static_cast<double>(kGlyphSide);
  const Point turn = direction(random.uniform(-d.rotation_degrees, d.rotation_degrees));
  const double width = side * random.uniform(d.scale_min, d.scale_max);
  const double height = side * random.uniform(d.scale_min, d.scale_max);
  const double shear = random.uniform(-d.shear, d.shear);
  const double shift_x = random.uniform(-d.shift_pixels, d.shift_pixels);
  const double shift_y = random.uniform(-d.shift_pixels, d.shift_pixels);
  std::vector<Segment> segments;
  for (const Stroke& stroke : glyph_strokes(label)) {
    Point last;
    for (size_t i = 0; i < stroke.size(); ++i) {
      // Arcs have many points: a full wobble at each would fray them.
      const double wobble = d.wobble * (stroke.size() > 6 ? 0.5 : 1.0);
      const double y = (stroke[i].y - 0.5 + wobble * random.normal()) * height;
      const double x = (stroke[i].x - 0.5 + wobble * random.normal()) * width + shear * y;
      const Point placed = {side / 2 + shift_x + x * turn.x - y * turn.y,
                            side / 2 + shift_y + x * turn.y + y * turn.x};
      if (i > 0) segments.push_back({last, placed});
      last = placed;
    }
  }
  return segments;
}

// How much of the pixel the pen of radius `radius` covers, by the distance of its centre.
double coverage(Point centre, const std::vector<Segment>& segments, double radius) {
  double nearest = 1e9;
  for (const Segment& s : segments) nearest = std::min(nearest, distance(centre, s));
  return std::clamp(radius + 0.5 - nearest, 0.0, 1.0);
}

}  // namespace

uint64_t SplitMix::next() {
  uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

double SplitMix::uniform(double low, double high) {
  return low + (high - low) * (static_cast<double>(next() >> 11) * 0x1p-53);
}

double SplitMix::normal() {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += uniform(0, 1);
  return sum;
}

size_t glyph_label(uint64_t seed, uint64_t index) {
  const uint64_t high = image_stream(seed, index, 0).next() >> 32;
  return static_cast<size_t>((high * kGlyphNames.size()) >> 32);
}

std::vector<uint8_t> render_glyph(size_t label, uint64_t seed, uint64_t index,
                                  const Distortion& distortion) {
  SplitMix random = image_stream(seed, index, 1);
  const std::vector<Segment> glyph = place_strokes(label, random, distortion);
  const double radius = random.uniform(0.5, 1.5);
  const double contrast = random.uniform(distortion.contrast_min, 1.0);
  const double paper = random.uniform(0.0, 1.0 - contrast);
  const double deviation = random.uniform(0.0, distortion.noise_max);

  std::vector<Segment> stray;
  const double side = static_cast<double>(kGlyphSide);
  if (random.uniform(0, 1) < distortion.clutter) {
    const Point from = {random.uniform(0, side), random.uniform(0, side)};
    const Point heading = direction(random.uniform(0, 360));
    const double length = random.uniform(side * 0.15, side * 0.45);
    stray.push_back({from, {from.x + length * heading.x, from.y + length * heading.y}});
  }
  const double stray_radius = random.uniform(0.2, 0.7);

  std::vector<uint8_t> pixels(kGlyphSide * kGlyphSide);
  for (size_t row = 0; row < kGlyphSide; ++row) {
    for (size_t column = 0; column < kGlyphSide; ++column) {
      const Point centre = {static_cast<double>(column) + 0.5, static_cast<double>(row) + 0.5};
      const double ink =
          std::max(coverage(centre, glyph, radius), 0.8 * coverage(centre, stray, stray_radius));
      const double gray = paper + contrast * ink + deviation * random.normal();
      pixels[row * kGlyphSide + column] =
          static_cast<uint8_t>(std::clamp(gray, 0.0, 1.0) * 255 + 0.5);
    }
  }
  return pixels;
}

}  // namespace lathe
