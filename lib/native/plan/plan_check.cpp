#include "plan/plan_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "ir/error.h"
#include "kernels/nest.h"

namespace lathe {
namespace {

/// Elements from the view's first address to its last, relative to its first element.
struct Extent {
  int64_t lowest = 0;
  int64_t highest = 0;
};

bool extent_of(const PlanView& view, Extent& extent) {
  for (size_t i = 0; i < view.shape.size(); ++i) {
    int64_t reach = 0;
    if (__builtin_mul_overflow(view.shape[i] - 1, view.strides[i], &reach)) return false;
    int64_t& side = reach < 0 ? extent.lowest : extent.highest;
    if (__builtin_add_overflow(side, reach, &side)) return false;
  }
  return true;
}

}  // namespace

void PlanCheck::fail(std::string_view message) const {
  throw bad_input("plan.invalid", std::string(message), where_,
                  "the plan is damaged, or no lathe made it");
}

ByteRange PlanCheck::range(const PlanView& view) const {
  const int64_t size = dtype_bits(view.dtype) / 8;
  Extent extent;
  int64_t first = 0;
  int64_t last = 0;
  int64_t end = 0;
  require(extent_of(view, extent) && !__builtin_add_overflow(view.offset, extent.lowest, &first) &&
              !__builtin_add_overflow(view.offset, extent.highest, &last) &&
              !__builtin_mul_overflow(last + 1, size, &end),
          "a view's addresses overflow");
  require(first >= 0 && end <= block(view).bytes, "a view reaches beyond its block");
  return {first * size, end};
}

const PlanView& PlanCheck::view(ViewId id) const {
  require(id.index >= 0 && static_cast<size_t>(id.index) < plan_.views.size(),
          "there is no such view");
  const PlanView& view = plan_.views[static_cast<size_t>(id.index)];
  if (element_count(view.shape) > 0) range(view);
  return view;
}

const PlanView& PlanCheck::view(ViewId id, DType dtype) const {
  const PlanView& found = view(id);
  require(found.dtype == dtype, fmt::format("an array of {} where {} is needed",
                                            dtype_name(found.dtype), dtype_name(dtype)));
  require(element_count(found.shape) > 0, "an array without elements");
  return found;
}

void PlanCheck::constant_row(ViewId id, DType dtype, int64_t count) const {
  const PlanView& row = view(id, dtype);
  require(block(row).place == BlockPlace::kConstant, "weights that are no constant");
  require(element_count(row.shape) == count, "another number of weights, factors or table entries");
  dense(row);
}

void PlanCheck::dense(const PlanView& view) const {
  require(is_dense(view), "an array with gaps where none may be");
}

void PlanCheck::written_once(const PlanView& view) const {
  std::vector<size_t> order(view.shape.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::erase_if(order, [&](size_t i) { return view.shape[i] <= 1; });
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::abs(view.strides[a]) < std::abs(view.strides[b]);
  });
  int64_t reach = 0;  // of the dimensions inside; the view lies in its block, so this is small
  for (const size_t i : order) {
    require(std::abs(view.strides[i]) > reach, "elements of a written array share a place");
    reach += (view.shape[i] - 1) * std::abs(view.strides[i]);
  }
}

void PlanCheck::same_shape(const PlanView& a, const PlanView& b) const {
  require(a.shape == b.shape, "arrays of different shapes");
}

void PlanCheck::loops(const Shape& shape, const std::vector<std::vector<int64_t>>& strides) const {
  try {
    make_nest(shape, strides);
  } catch (const InternalError& error) {
    fail(error.what());
  }
}

PlanPixels PlanCheck::pixels(const PlanView& view, ChannelAxis axis) const {
  PlanPixels grid;
  const Shape& shape = view.shape;
  if (axis == ChannelAxis::kLast) {
    require(!shape.empty(), "a scalar where rows are needed");
    dense(view);
    grid.channels = shape.back();
    grid.width = element_count(shape) / grid.channels;
    grid.pixel_pitch = grid.channels;
    grid.row_pitch = grid.image_pitch = grid.width * grid.channels;
    return grid;
  }
  require(axis == ChannelAxis::kSecond && shape.size() >= 2 && shape.size() <= 4 &&
              (shape[1] == 1 || view.strides[1] == 1),
          "channels are not side by side");
  grid.images = shape[0];
  grid.image_pitch = view.strides[0];
  grid.channels = shape[1];
  if (shape.size() > 2) {
    grid.width = shape.back();
    grid.pixel_pitch = view.strides.back();
  }
  if (shape.size() > 3) {
    grid.height = shape[2];
    grid.row_pitch = view.strides[2];
  } else {
    // One row: the pitch says nothing.
    grid.row_pitch = grid.width > 1 ? grid.width * grid.pixel_pitch : 0;
  }
  return grid;
}

void PlanCheck::uniform(const PlanPixels& pixels) const {
  const int64_t h = pixels.height;
  const int64_t w = pixels.width;
  const int64_t pitch = w > 1 ? pixels.pixel_pitch : h > 1 ? pixels.row_pitch : pixels.image_pitch;
  const bool rows = h == 1 || w == 1 || pixels.row_pitch == w * pitch;
  require(rows && (pixels.images == 1 || pixels.image_pitch == h * w * pitch),
          "pixels are not in one row");
}

}  // namespace lathe
