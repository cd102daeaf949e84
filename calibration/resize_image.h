// Antialiased bilinear resizing, byte for byte as Image.resize(BILINEAR) of Pillow 13.0 (its
// Resample.c): a triangle filter stretched by the reduction, uint8 in 22-bit fixed point with an
// 8-bit picture between the passes. The horizontal pass comes first, except where the height
// shrinks by more than twice what the width does (before 13.0 it always came first: there the last
// bit may differ for such sizes).
#pragma once

#include "calibration/pixels.h"

namespace lathe {

/// float pictures are summed in double, as Pillow's mode F. Sides are 1 or more. Throws Error
/// (exit 8) when the result or the picture between the passes exceeds kMaxPixels.
template <class T>
Pixels<T> resize_bilinear(const Pixels<T>& picture, int64_t height, int64_t width);

/// Throws Error (exit 8) over kMaxPixels.
void check_pixels(int64_t height, int64_t width);

}  // namespace lathe
