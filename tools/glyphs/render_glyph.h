// Glyphs as small gray images, distorted by a seeded generator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lathe {

inline constexpr size_t kGlyphSide = 28;

/// splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
/// The standard library's distributions differ from one implementation to the next; this does not.
class SplitMix {
 public:
  explicit SplitMix(uint64_t seed) : state_(seed) {}
  uint64_t next();
  /// Uniform in [low, high).
  double uniform(double low, double high);
  /// Near-normal with mean 0 and deviation 1: the sum of twelve uniforms (Irwin-Hall), less 6.
  double normal();

 private:
  uint64_t state_;
};

/// How hard the images are to read. Zero everywhere but `contrast_min` 1 gives clean glyphs.
struct Distortion {
  double rotation_degrees = 30;  // uniform in +-
  double shift_pixels = 2.6;     // uniform in +-, both axes
  double scale_min = 0.6;        // of the image's side, each axis on its own
  double scale_max = 1.0;
  double shear = 0.2;          // uniform in +-
  double wobble = 0.035;       // deviation of each stroke point, in units of the glyph
  double contrast_min = 0.28;  // ink minus paper, of the full range
  double noise_max = 0.28;     // the deviation is uniform in 0..noise_max of the full range
  double clutter = 0.5;        // probability of one stray line
};

/// Image `index` of the endless set named by `seed`: kGlyphSide * kGlyphSide gray bytes, rows from
/// the top, ink bright. Depends on its arguments alone, so a set's first images do not change with
/// its size. `label` as in glyph_strokes.h.
std::vector<uint8_t> render_glyph(size_t label, uint64_t seed, uint64_t index,
                                  const Distortion& distortion);

/// The label of image `index`: uniform over the glyphs.
size_t glyph_label(uint64_t seed, uint64_t index);

}  // namespace lathe
