#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/dim_math.h"
#include "ops/shape_rules.h"

namespace lathe::shape_rule {
namespace {

Dim scaled(const Dim& dim, double scale) {
  if (!(scale > 0) || !std::isfinite(scale)) throw bad_node(fmt::format("scale {}", scale));
  if (scale == 1) return dim;
  if (!dim.known()) return {};
  // The specification multiplies in float.
  const double size = std::floor(static_cast<float>(dim.size) * static_cast<float>(scale));
  if (size > 1e18) throw bad_node("the output size overflows");
  return Dim::of(static_cast<int64_t>(size));
}

// Sizes as attribute keep_aspect_ratio_policy adjusts them.
void keep_aspect(const std::string& policy, const Dims& x, const std::vector<size_t>& axes,
                 Dims& out) {
  const bool smaller = policy == "not_larger";
  double scale = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const Dim& from = x[axes[i]];
    const Dim& to = out[axes[i]];
    if (!from.known() || !to.known() || from.size == 0) {
      for (const size_t axis : axes) out[axis] = {};
      return;
    }
    const double ratio = static_cast<double>(to.size) / static_cast<double>(from.size);
    scale = i == 0 ? ratio : smaller ? std::min(scale, ratio) : std::max(scale, ratio);
  }
  for (const size_t axis : axes) {
    const double size = std::floor(scale * static_cast<double>(x[axis].size) + 0.5);
    if (size > 1e18) throw bad_node("the output size overflows");
    out[axis] = Dim::of(static_cast<int64_t>(size));
  }
}

}  // namespace

void resize(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  std::vector<size_t> axes;
  if (call.node.attributes.has("axes")) {
    for (const int64_t axis : call.node.attributes.required_ints("axes"))
      axes.push_back(static_cast<size_t>(call.normal_axis(axis, x->size())));
  } else {
    for (size_t i = 0; i < x->size(); ++i) axes.push_back(i);
  }
  Dims out = *x;
  const auto forget = [&] {
    for (const size_t axis : axes) out[axis] = {};
    call.set_dims(0, out);
  };
  const Tensor* scales = call.constant(2);
  // Old exporters give an empty scales tensor beside sizes.
  if (call.has(3)) {
    const auto sizes = call.elements(3);
    if (!sizes) return forget();
    if (sizes->size() != axes.size())
      throw bad_node(fmt::format("{} sizes for {} axes", sizes->size(), axes.size()));
    for (size_t i = 0; i < axes.size(); ++i) out[axes[i]] = dim_of((*sizes)[i]);
    const auto policy = call.node.attributes.string_or("keep_aspect_ratio_policy", "stretch");
    if (policy != "stretch") keep_aspect(policy, *x, axes, out);
    return call.set_dims(0, std::move(out));
  }
  // tf_crop_and_resize takes its size from the region of interest.
  if (scales == nullptr || call.node.attributes.string_or("coordinate_transformation_mode",
                                                          "half_pixel") == "tf_crop_and_resize")
    return forget();
  const auto factors = scales->to_double();
  if (factors.size() != axes.size())
    throw bad_node(fmt::format("{} scales for {} axes", factors.size(), axes.size()));
  for (size_t i = 0; i < axes.size(); ++i) out[axes[i]] = scaled((*x)[axes[i]], factors[i]);
  call.set_dims(0, std::move(out));
}

void affine_grid(InferCall& call) {
  const auto size = call.elements(1);
  if (!size) return;
  if (size->size() != 4 && size->size() != 5)
    throw bad_node(fmt::format("a size of {} numbers", size->size()));
  Dims out{dim_of((*size)[0])};
  for (size_t i = 2; i < size->size(); ++i) out.push_back(dim_of((*size)[i]));
  out.push_back(Dim::of(static_cast<int64_t>(size->size()) - 2));
  call.set_dims(0, std::move(out));
}

void grid_sample(InferCall& call) {
  const Dims* x = call.dims(0);
  const Dims* grid = call.dims(1);
  if (x == nullptr || grid == nullptr) return;
  if (x->size() < 3 || grid->size() != x->size())
    throw bad_node(fmt::format("input and grid have ranks {} and {}", x->size(), grid->size()));
  Dims out{unify((*x)[0], (*grid)[0], "the batch of input and grid"), (*x)[1]};
  out.insert(out.end(), grid->begin() + 1, grid->end() - 1);
  call.set_dims(0, std::move(out));
}

}  // namespace lathe::shape_rule
