#include "program/pixel_grid.h"

#include "ir/error.h"

namespace lathe {

int64_t PixelGrid::uniform_pitch() const {
  // Along the first dimension that has several elements.
  const int64_t pitch = width > 1 ? pixel_pitch : height > 1 ? row_pitch : image_pitch;
  const bool uniform = (height == 1 || width == 1 || row_pitch == width * pitch) &&
                       (height == 1 || width > 1 || row_pitch == pitch) &&
                       (images == 1 || image_pitch == height * width * pitch);
  if (!uniform) throw InternalError("native program: pixels are not in one row");
  return images * height * width == 1 ? channels : pitch;
}

PixelGrid pixel_grid(const PlanView& view, ChannelAxis axis) {
  PixelGrid grid;
  const Shape& shape = view.shape;
  const std::vector<int64_t>& strides = view.strides;
  if (axis == ChannelAxis::kLast) {
    if (shape.empty() || !is_dense(view)) throw InternalError("native program: rows are not dense");
    grid.channels = shape.back();
    grid.width = element_count(shape) / std::max<int64_t>(grid.channels, 1);
    grid.pixel_pitch = grid.channels;
    grid.row_pitch = grid.width * grid.channels;
    grid.image_pitch = grid.row_pitch;
    return grid;
  }
  if (shape.size() < 2 || shape.size() > 4 || (shape[1] > 1 && strides[1] != 1))
    throw InternalError("native program: channels are not side by side");
  grid.images = shape[0];
  grid.image_pitch = strides[0];
  grid.channels = shape[1];
  if (shape.size() > 2) {
    grid.width = shape.back();
    grid.pixel_pitch = strides.back();
  }
  if (shape.size() > 3) {
    grid.height = shape[2];
    grid.row_pitch = strides[2];
  } else {
    grid.row_pitch = grid.width * grid.pixel_pitch;
  }
  return grid;
}

ProductEpilogue product_epilogue(const PlanEpilogue& epilogue, const BindContext& context) {
  ProductEpilogue bound;
  bound.activation = epilogue.activation;
  bound.inverse_scale = epilogue.inverse_scale;
  bound.zero_point = epilogue.zero_point;
  bound.low = epilogue.low;
  bound.high = epilogue.high;
  bound.has_residual = epilogue.residual.valid();
  bound.own_factor = epilogue.own_factor;
  bound.residual_factor = epilogue.residual_factor;
  bound.offset = epilogue.offset;
  bound.sum_low = epilogue.sum_low;
  bound.sum_high = epilogue.sum_high;
  bound.float_low = epilogue.float_low;
  bound.float_high = epilogue.float_high;
  if (epilogue.table.valid()) bound.table = context.constant<uint8_t>(epilogue.table);
  return bound;
}

}  // namespace lathe
