#include "glyph_strokes.h"

#include <initializer_list>
#include <stdexcept>

namespace lathe {
namespace {

// Angles grow clockwise on the page, because y grows downwards: 0 right, 90 bottom, 180 left.
struct Arc {
  Point centre;
  double rx;
  double ry;
  double from;
  double to;
};

Stroke arc(const Arc& a) {
  constexpr int kPieces = 14;
  Stroke stroke;
  for (int i = 0; i <= kPieces; ++i) {
    const Point d = direction(a.from + (a.to - a.from) * i / kPieces);
    stroke.push_back({a.centre.x + a.rx * d.x, a.centre.y + a.ry * d.y});
  }
  return stroke;
}

Stroke ring(Point centre, double rx, double ry) { return arc({centre, rx, ry, 0, 360}); }

Stroke joined(std::initializer_list<Stroke> parts) {
  Stroke whole;
  for (const Stroke& part : parts) whole.insert(whole.end(), part.begin(), part.end());
  return whole;
}

std::vector<Stroke> digit_strokes(size_t digit) {
  switch (digit) {
    case 0: return {ring({.5, .5}, .26, .4), {{.38, .66}, {.62, .34}}};
    case 1: return {{{.32, .28}, {.52, .1}, {.52, .9}}};
    case 2: return {joined({arc({{.5, .34}, .26, .24, 180, 390}), {{.22, .9}, {.8, .9}}})};
    case 3:
      return {joined({arc({{.46, .3}, .26, .2, 200, 450}), arc({{.46, .7}, .3, .2, 270, 520})})};
    case 4: return {{{.64, .9}, {.64, .1}, {.2, .64}, {.82, .64}}};
    case 5: return {joined({{{.76, .1}, {.3, .1}}, arc({{.49, .64}, .28, .26, 220, 510})})};
    case 6: return {arc({{.74, .66}, .5, .56, 268, 180}), ring({.5, .66}, .26, .24)};
    case 7: return {{{.2, .1}, {.8, .1}, {.4, .9}}};
    case 8: return {ring({.5, .3}, .22, .2), ring({.5, .7}, .27, .2)};
    default: return {ring({.5, .34}, .26, .24), arc({{.26, .34}, .5, .56, 0, 88})};
  }
}

std::vector<Stroke> letter_strokes(char letter) {
  switch (letter) {
    case 'A': return {{{.2, .9}, {.5, .1}, {.8, .9}}, {{.31, .62}, {.69, .62}}};
    case 'B':
      return {{{.24, .1}, {.24, .9}},
              joined({{{.24, .1}}, arc({{.5, .3}, .22, .2, 270, 450}), {{.24, .5}}}),
              joined({{{.24, .5}}, arc({{.52, .7}, .26, .2, 270, 450}), {{.24, .9}}})};
    case 'C': return {arc({{.54, .5}, .32, .4, 310, 50})};
    case 'D':
      return {{{.24, .1}, {.24, .9}},
              joined({{{.24, .1}}, arc({{.42, .5}, .36, .4, 270, 450}), {{.24, .9}}})};
    case 'E': return {{{.78, .1}, {.24, .1}, {.24, .9}, {.78, .9}}, {{.24, .5}, {.66, .5}}};
    case 'F': return {{{.78, .1}, {.24, .1}, {.24, .9}}, {{.24, .5}, {.66, .5}}};
    case 'G': return {joined({arc({{.52, .5}, .32, .4, 310, 5}), {{.56, .54}}})};
    case 'H': return {{{.22, .1}, {.22, .9}}, {{.78, .1}, {.78, .9}}, {{.22, .5}, {.78, .5}}};
    case 'I': return {{{.3, .1}, {.7, .1}}, {{.5, .1}, {.5, .9}}, {{.3, .9}, {.7, .9}}};
    case 'J': return {joined({{{.4, .1}, {.72, .1}}, arc({{.48, .66}, .24, .24, 0, 160})})};
    case 'K': return {{{.24, .1}, {.24, .9}}, {{.76, .1}, {.24, .56}}, {{.4, .42}, {.78, .9}}};
    case 'L': return {{{.26, .1}, {.26, .9}, {.76, .9}}};
    case 'M': return {{{.18, .9}, {.18, .1}, {.5, .6}, {.82, .1}, {.82, .9}}};
    case 'N': return {{{.22, .9}, {.22, .1}, {.78, .9}, {.78, .1}}};
    case 'O': return {ring({.5, .5}, .34, .4)};
    case 'P':
      return {joined({{{.24, .9}, {.24, .1}}, arc({{.5, .32}, .27, .22, 270, 450}), {{.24, .54}}})};
    case 'Q': return {ring({.5, .5}, .34, .4), {{.58, .66}, {.84, .9}}};
    case 'R':
      return {joined({{{.24, .9}, {.24, .1}}, arc({{.5, .32}, .27, .22, 270, 450}), {{.24, .54}}}),
              {{.46, .54}, {.78, .9}}};
    case 'S':
      return {joined({arc({{.5, .3}, .26, .2, 330, 90}), arc({{.5, .7}, .28, .2, 270, 510})})};
    case 'T': return {{{.18, .1}, {.82, .1}}, {{.5, .1}, {.5, .9}}};
    case 'U': return {joined({{{.22, .1}}, arc({{.5, .6}, .28, .3, 180, 0}), {{.78, .1}}})};
    case 'V': return {{{.2, .1}, {.5, .9}, {.8, .1}}};
    case 'W': return {{{.14, .1}, {.32, .9}, {.5, .35}, {.68, .9}, {.86, .1}}};
    case 'X': return {{{.22, .1}, {.78, .9}}, {{.78, .1}, {.22, .9}}};
    case 'Y': return {{{.2, .1}, {.5, .48}, {.8, .1}}, {{.5, .48}, {.5, .9}}};
    default: return {{{.2, .1}, {.8, .1}, {.2, .9}, {.8, .9}}};
  }
}

}  // namespace

Point direction(double degrees) {
  // Halving the angle until the Taylor series converges at once, then doubling it back.
  constexpr int kHalvings = 10;
  const double angle = degrees * 3.14159265358979323846 / 180.0 / (1 << kHalvings);
  const double square = angle * angle;
  double sine = angle * (1 - square / 6 * (1 - square / 20 * (1 - square / 42)));
  // 1 - cosine is doubled instead of the cosine: the difference to 1 would be lost.
  double versine = square / 2 * (1 - square / 12 * (1 - square / 30 * (1 - square / 56)));
  for (int i = 0; i < kHalvings; ++i) {
    const double doubled = 2 * sine * (1 - versine);
    versine = 2 * sine * sine;
    sine = doubled;
  }
  return {1 - versine, sine};
}

std::vector<Stroke> glyph_strokes(size_t label) {
  if (label >= kGlyphNames.size()) throw std::out_of_range("glyph_strokes: no such label");
  return label < 10 ? digit_strokes(label) : letter_strokes(kGlyphNames[label]);
}

}  // namespace lathe
