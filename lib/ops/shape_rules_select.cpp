// Ops that cut, join and pad along axes.
#include <fmt/format.h>

#include <algorithm>

#include "ops/dim_math.h"
#include "ops/shape_rules.h"

namespace lathe::shape_rule {
namespace {

// Elements that a slice of an axis of `size` takes.
int64_t slice_length(int64_t size, int64_t start, int64_t end, int64_t step) {
  if (start < 0) start += size;
  if (end < 0) end += size;
  if (step > 0) {
    start = std::clamp<int64_t>(start, 0, size);
    end = std::clamp<int64_t>(end, 0, size);
    return end <= start ? 0 : (end - start - 1) / step + 1;
  }
  start = std::clamp<int64_t>(start, -1, size - 1);
  end = std::clamp<int64_t>(end, -1, size - 1);
  return start <= end ? 0 : (start - end - 1) / -std::max(step, -INT64_MAX) + 1;
}

Dim slice_dim(const Dim& in, const Element& start, const Element& end, const Element& step) {
  if (step.number == 0) throw bad_node("a step is 0");
  if (!step.number) return {};
  // x[0:] and x[0:N] of a symbolic axis N take everything.
  const bool whole =
      *step.number == 1 && start.number == 0 &&
      ((end.number && *end.number >= INT32_MAX) ||
       (!in.known() && !end.number && !in.symbol.empty() && end.symbol == in.symbol));
  if (whole) return in;
  if (start.number && end.number && in.known())
    return Dim::of(slice_length(in.size, *start.number, *end.number, *step.number));
  // x[0:k] of an unknown axis is not known to have k elements.
  return {};
}

void concat_inputs(InferCall& call, size_t first, size_t stride) {
  const int64_t axis = call.node.attributes.required_int("axis");
  std::optional<Dims> out;
  bool complete = true;
  Dim total = Dim::of(0);
  for (size_t i = first; i < call.node.inputs.size(); i += stride) {
    const Dims* part = call.dims(i);
    if (part == nullptr) {
      complete = false;
      continue;
    }
    const auto at = static_cast<size_t>(call.normal_axis(axis, part->size()));
    total = add(total, (*part)[at]);
    if (!out) {
      out = *part;
      continue;
    }
    if (part->size() != out->size())
      throw bad_node(fmt::format("parts have ranks {} and {}", out->size(), part->size()));
    for (size_t d = 0; d < out->size(); ++d)
      if (d != at) (*out)[d] = unify((*out)[d], (*part)[d], "sizes of the joined parts");
  }
  if (!out) return;
  (*out)[static_cast<size_t>(call.normal_axis(axis, out->size()))] = complete ? total : Dim{};
  call.set_dims(0, std::move(*out));
}

// Axes of an optional input or attribute: all of them when absent; nullopt when not known.
std::optional<std::vector<size_t>> normal_axes(const InferCall& call,
                                               const std::optional<std::vector<int64_t>>& axes,
                                               bool present, size_t rank) {
  std::vector<size_t> out;
  if (!present) {
    for (size_t i = 0; i < rank; ++i) out.push_back(i);
    return out;
  }
  if (!axes) return std::nullopt;
  for (const int64_t axis : *axes) out.push_back(static_cast<size_t>(call.normal_axis(axis, rank)));
  return out;
}

}  // namespace

void slice(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  const auto starts = call.elements(1);
  const auto ends = call.elements(2);
  if (!starts || !ends) return call.set_dims(0, Dims(x->size()));
  if (starts->size() != ends->size()) throw bad_node("starts and ends differ in number");
  const auto given = call.has(3) ? call.constant_ints(3) : std::nullopt;
  std::vector<size_t> axes;
  if (call.has(3)) {
    if (!given) return call.set_dims(0, Dims(x->size()));
    axes = *normal_axes(call, given, true, x->size());
  } else {
    for (size_t i = 0; i < starts->size(); ++i) axes.push_back(i);
  }
  Elements steps(starts->size(), Element{1, {}});
  if (call.has(4)) {
    const auto found = call.elements(4);
    if (!found) return call.set_dims(0, Dims(x->size()));
    steps = *found;
  }
  if (axes.size() != starts->size() || steps.size() != starts->size() || axes.size() > x->size())
    throw bad_node("starts, ends, axes and steps do not agree in number");
  Dims out = *x;
  for (size_t i = 0; i < axes.size(); ++i)
    out[axes[i]] = slice_dim((*x)[axes[i]], (*starts)[i], (*ends)[i], steps[i]);
  call.set_dims(0, std::move(out));
}

void concat(InferCall& call) { concat_inputs(call, 0, 1); }
void qlinear_concat(InferCall& call) { concat_inputs(call, 2, 3); }

void split(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  const auto axis =
      static_cast<size_t>(call.normal_axis(call.node.attributes.int_or("axis", 0), x->size()));
  const size_t parts = call.outputs.size();
  if (parts == 0) return;
  const Dim& whole = (*x)[axis];
  Dims sizes(parts);
  if (call.has(1)) {
    if (const auto given = call.elements(1)) {
      if (given->size() != parts)
        throw bad_node(fmt::format("{} sizes for {} outputs", given->size(), parts));
      for (size_t i = 0; i < parts; ++i) sizes[i] = dim_of((*given)[i]);
      Dim sum = Dim::of(0);
      for (const Dim& size : sizes) sum = add(sum, size);
      unify(sum, whole, "the split axis and the sum of its parts");
    }
  } else if (whole.known()) {
    const int64_t count = call.node.attributes.int_or("num_outputs", static_cast<int64_t>(parts));
    if (count < 1 || static_cast<size_t>(count) != parts)
      throw bad_node(fmt::format("num_outputs {} for {} outputs", count, parts));
    // The last part is smaller when the axis does not divide evenly.
    const int64_t chunk = whole.size / count + (whole.size % count != 0);
    for (size_t i = 0; i < parts; ++i)
      sizes[i] =
          Dim::of(std::clamp<int64_t>(whole.size - chunk * static_cast<int64_t>(i), 0, chunk));
  } else if (parts == 1) {
    sizes[0] = whole;
  }
  for (size_t i = 0; i < parts; ++i) {
    Dims out = *x;
    out[axis] = sizes[i];
    call.set_dims(i, std::move(out));
  }
}

void pad(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  const auto pads = call.constant_ints(1);
  const auto axes =
      normal_axes(call, call.has(3) ? call.constant_ints(3) : std::nullopt, call.has(3), x->size());
  if (!pads || !axes) return call.set_dims(0, Dims(x->size()));
  if (pads->size() != 2 * axes->size())
    throw bad_node(fmt::format("{} pads for {} axes", pads->size(), axes->size()));
  Dims out = *x;
  for (size_t i = 0; i < axes->size(); ++i) {
    const int64_t begin = (*pads)[i];
    const int64_t end = (*pads)[i + axes->size()];
    Dim& dim = out[(*axes)[i]];
    if (begin == 0 && end == 0) continue;
    if (!dim.known()) {
      dim = {};
      continue;
    }
    int64_t size = 0;
    if (__builtin_add_overflow(begin, end, &size) || __builtin_add_overflow(size, dim.size, &size))
      throw bad_node("the padded size overflows");
    if (size < 0)
      throw bad_node(fmt::format("padding by {} and {} leaves a negative size", begin, end));
    dim = Dim::of(size);
  }
  call.set_dims(0, std::move(out));
}

void center_crop_pad(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  const auto wanted = call.elements(1);
  const bool present = call.node.attributes.has("axes");
  const auto axes = normal_axes(call, call.node.attributes.ints_or("axes", {}), present, x->size());
  Dims out = *x;
  if (!wanted) {
    for (const size_t axis : *axes) out[axis] = {};
    return call.set_dims(0, std::move(out));
  }
  if (wanted->size() != axes->size())
    throw bad_node(fmt::format("{} sizes for {} axes", wanted->size(), axes->size()));
  for (size_t i = 0; i < axes->size(); ++i) out[(*axes)[i]] = dim_of((*wanted)[i]);
  call.set_dims(0, std::move(out));
}

void crop(InferCall& call) {
  const Dims* x = call.dims(0);
  if (x == nullptr) return;
  if (x->size() != 4) throw bad_node("the input must have rank 4");
  const auto border = call.node.attributes.required_ints("border");  // left, top, right, bottom
  const auto size = call.node.attributes.ints_or("scale", {});       // height, width
  if (border.size() != 4 || (!size.empty() && size.size() != 2))
    throw bad_node("attributes 'border' and 'scale' need 4 and 2 numbers");
  Dims out = *x;
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const int64_t before = border[1 - i];
    const int64_t after = border[3 - i];
    if (before < 0 || after < 0 || (!size.empty() && size[i] < 0))
      throw bad_node("a negative border");
    Dim& dim = out[i + 2];
    if (!size.empty())
      dim = Dim::of(size[i]);
    else if (!dim.known())
      dim = before == 0 && after == 0 ? dim : Dim{};
    else if (before > dim.size || after > dim.size - before)
      throw bad_node("the borders meet");
    else
      dim = Dim::of(dim.size - before - after);
  }
  call.set_dims(0, std::move(out));
}

}  // namespace lathe::shape_rule
