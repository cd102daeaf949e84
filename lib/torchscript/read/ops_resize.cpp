// Resampling: upsample_*, interpolate, grid_sampler.
#include <algorithm>
#include <array>
#include <cmath>

#include "torchscript/read/ops_forms.h"

namespace lathe {
namespace {

using Kind = AbstractValue::Kind;

enum class Filter : uint8_t { kNearest, kNearestExact, kLinear, kCubic };

struct Resampling {
  Filter filter = Filter::kNearest;
  bool align_corners = false;
  /// Wanted sizes of the spatial axes; empty when only scales are given.
  std::vector<AbstractValue> sizes;
  /// Scales that were given; PyTorch then samples by them, not by the quotient of the sizes.
  std::vector<double> scales;
};

Attributes resize_attributes(const Resampling& form) {
  Attributes attributes;
  const bool nearest = form.filter == Filter::kNearest || form.filter == Filter::kNearestExact;
  attributes.set("mode", std::string(nearest                          ? "nearest"
                                     : form.filter == Filter::kLinear ? "linear"
                                                                      : "cubic"));
  std::string coordinates = "half_pixel";
  if (form.filter == Filter::kNearest) coordinates = "asymmetric";
  if (form.align_corners) coordinates = "align_corners";
  attributes.set("coordinate_transformation_mode", coordinates);
  if (nearest)
    attributes.set("nearest_mode",
                   std::string(form.filter == Filter::kNearest ? "floor" : "round_prefer_ceil"));
  if (form.filter == Filter::kCubic) attributes.set("cubic_coeff_a", -0.75F);
  return attributes;
}

// Source index of every output by ATen's arithmetic (UpSample.h).
std::vector<int64_t> nearest_sources(int64_t in, int64_t out, bool exact) {
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  std::vector<int64_t> sources;
  for (int64_t o = 0; o < out; ++o) {
    const float position = (static_cast<float>(o) + (exact ? 0.5F : 0.0F)) * scale;
    sources.push_back(std::min(static_cast<int64_t>(std::floor(position)), in - 1));
  }
  return sources;
}

// Runtimes divide by the scale where ATen multiplies by its inverse, which can fall on the other
// side of an integer: quotients that are no whole factor are gathered.
ValueId nearest_by_sizes(AtenCall& call, ValueId x, const Resampling& form) {
  for (size_t i = 0; i < form.sizes.size(); ++i) {
    const int64_t in = *known_size(call, x, i + 2);
    const int64_t out = form.sizes[i].integer;
    if (in == out) continue;
    const std::vector<int64_t> sources =
        nearest_sources(in, out, form.filter == Filter::kNearestExact);
    x = call.emit(OpKind::kGather, {x, call.ints_value(sources)},
                  attributes_of({{"axis", static_cast<int64_t>(i + 2)}}));
  }
  return x;
}

bool whole_factors(AtenCall& call, ValueId x, const std::vector<AbstractValue>& sizes) {
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t in = *known_size(call, x, i + 2);
    if (in == 0 || sizes[i].integer % in != 0) return false;
  }
  return true;
}

ValueId resize(AtenCall& call, ValueId x, Resampling form) {
  const size_t rank = call.rank_of(x);
  call.require(rank >= 3 && rank <= 5, "an input of one to three spatial dimensions is needed");
  const size_t spatial = rank - 2;
  constexpr int64_t kMostElements = int64_t{1} << 24;
  bool known = true;
  for (size_t i = 0; i < spatial; ++i) known = known && known_size(call, x, i + 2).has_value();
  call.require(form.scales.empty() || form.scales.size() == spatial, "a scale is missing");
  call.require(form.sizes.empty() || form.sizes.size() == spatial, "a size is missing");
  // align_corners samples by the sizes, whatever scales are given.
  if (form.align_corners && form.sizes.empty() && known) {
    for (size_t i = 0; i < spatial; ++i)
      form.sizes.push_back(AbstractValue::of_int(static_cast<int64_t>(
          std::floor(static_cast<double>(*known_size(call, x, i + 2)) * form.scales[i]))));
    form.scales.clear();
  }
  if (form.align_corners && !form.sizes.empty()) form.scales.clear();
  if (!form.scales.empty()) {
    std::vector<float> scales = {1, 1};
    for (const double scale : form.scales) {
      call.require(scale > 0 && std::isfinite(scale), "a scale is not a positive number");
      call.require(!form.align_corners || scale == std::floor(scale),
                   "align_corners with a fractional scale and unknown sizes");
      scales.push_back(static_cast<float>(scale));
    }
    return call.emit(OpKind::kResize, {x, {}, call.constant_value(Tensor::vector(scales))},
                     resize_attributes(form));
  }
  call.require(!form.sizes.empty(), "neither sizes nor scales are given");
  bool known_sizes = known;
  for (const AbstractValue& size : form.sizes) {
    known_sizes = known_sizes && size.is_known_number();
    call.require(!size.is_known_number() || (size.integer > 0 && size.integer < kMostElements),
                 "an output size is out of range");
  }
  const bool nearest = form.filter == Filter::kNearest || form.filter == Filter::kNearestExact;
  if (nearest && known_sizes && !whole_factors(call, x, form.sizes))
    return nearest_by_sizes(call, x, form);
  std::vector<AbstractValue> sizes = {call.size_number(x, 0), call.size_number(x, 1)};
  sizes.insert(sizes.end(), form.sizes.begin(), form.sizes.end());
  return call.emit(OpKind::kResize, {x, {}, {}, sizes_vector(call, sizes)},
                   resize_attributes(form));
}

std::vector<AbstractValue> sizes_argument(AtenCall& call, size_t i, size_t spatial) {
  if (call.is_none(i)) return {};
  if (!call.arg(i).items) return std::vector<AbstractValue>(spatial, call.arg(i));
  const auto items = call.items(i);
  std::vector<AbstractValue> sizes(items.begin(), items.end());
  if (sizes.size() == 1) sizes.resize(spatial, sizes[0]);
  return sizes;
}

std::vector<double> scales_argument(AtenCall& call, size_t i, size_t spatial) {
  if (call.is_none(i)) return {};
  std::vector<double> scales = call.floats(i);
  if (scales.size() == 1) scales.resize(spatial, scales[0]);
  return scales;
}

// (input, output_size, [align_corners,] scale_factors) or (…, scales_h, scales_w)
template <Filter filter>
Results upsample(AtenCall& call) {
  constexpr bool kAligns = filter == Filter::kLinear || filter == Filter::kCubic;
  const ValueId x = call.tensor(0);
  const size_t spatial = call.rank_of(x) - 2;
  Resampling form;
  form.filter = filter;
  if (kAligns) form.align_corners = call.bool_of(2);
  form.sizes = sizes_argument(call, 1, spatial);
  const size_t first = kAligns ? 3 : 2;
  if (call.arg(first).items) {
    form.scales = scales_argument(call, first, spatial);
  } else {
    for (size_t i = 0; i < spatial && !call.is_none(first + i); ++i)
      form.scales.push_back(call.float_of(first + i));
    if (form.scales.size() != spatial) form.scales.clear();
  }
  // With both, the sizes decide how much, the scales where; they agree unless rounded oddly.
  if (!form.sizes.empty() && !form.scales.empty())
    for (size_t i = 0; i < spatial; ++i) {
      const auto in = known_size(call, x, i + 2);
      const bool agrees =
          in && form.sizes[i].is_known_number() &&
          form.sizes[i].integer ==
              static_cast<int64_t>(std::floor(static_cast<double>(*in) * form.scales[i]));
      call.require(agrees || !in, "sizes and scales that do not agree");
    }
  return call.one(resize(call, x, form));
}

// (input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
Results interpolate(AtenCall& call) {
  const ValueId x = call.tensor(0);
  const size_t rank = call.rank_of(x);
  call.require(rank >= 3, "an input of one to three spatial dimensions is needed");
  const std::string mode = call.is_none(3) ? "nearest" : call.string_of(3);
  Resampling form;
  if (mode == "nearest") {
    form.filter = Filter::kNearest;
  } else if (mode == "nearest-exact") {
    form.filter = Filter::kNearestExact;
  } else if (mode == "linear" || mode == "bilinear" || mode == "trilinear") {
    form.filter = Filter::kLinear;
  } else if (mode == "bicubic") {
    form.filter = Filter::kCubic;
  } else {
    call.refuse("mode " + mode + " is not supported");
  }
  call.require(!call.bool_or(6, false), "antialias is not supported");
  form.align_corners = call.bool_or(4, false);
  form.sizes = sizes_argument(call, 1, rank - 2);
  form.scales = scales_argument(call, 2, rank - 2);
  if (call.bool_or(5, false) && !form.scales.empty()) {
    for (size_t i = 0; i < form.scales.size(); ++i) {
      const auto in = known_size(call, x, i + 2);
      if (!in) call.refuse("recompute_scale_factor needs known sizes");
      form.sizes.push_back(AbstractValue::of_int(
          static_cast<int64_t>(std::floor(static_cast<double>(*in) * form.scales[i]))));
    }
    form.scales.clear();
  }
  return call.one(resize(call, x, form));
}

// (input, grid, interpolation_mode, padding_mode, align_corners)
Results grid_sampler(AtenCall& call) {
  constexpr std::array kModes = {"linear", "nearest", "cubic"};
  constexpr std::array kPaddings = {"zeros", "border", "reflection"};
  const int64_t mode = call.int_of(2);
  const int64_t padding = call.int_of(3);
  call.require(mode >= 0 && mode < 3 && padding >= 0 && padding < 3, "unknown mode");
  return call.one(call.emit(
      OpKind::kGridSample, {call.tensor(0), call.tensor(1)},
      attributes_of({{"mode", std::string(kModes[static_cast<size_t>(mode)])},
                     {"padding_mode", std::string(kPaddings[static_cast<size_t>(padding)])},
                     {"align_corners", int64_t{call.bool_or(4, false)}}})));
}

constexpr auto kNearest = keeping_grid<upsample<Filter::kNearest>>;
constexpr auto kExact = keeping_grid<upsample<Filter::kNearestExact>>;
constexpr auto kLinear = keeping_grid<upsample<Filter::kLinear>>;

constexpr AtenRow kResizeOps[] = {
    {"upsample_nearest1d upsample_nearest2d upsample_nearest3d", kNearest},
    {"_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d", kExact},
    {"upsample_linear1d upsample_bilinear2d upsample_trilinear3d", kLinear},
    {"upsample_bicubic2d", upsample<Filter::kCubic>},
    {"__interpolate", keeping_grid<interpolate>},
    {"grid_sampler grid_sampler_2d grid_sampler_3d", grid_sampler},
};

}  // namespace

std::span<const AtenRow> resize_aten_ops() { return kResizeOps; }

}  // namespace lathe
