// A view as images of pixels whose channels lie side by side.
#pragma once

#include "plan/plan.h"
#include "program/bound_step.h"

namespace lathe {

/// Pitches in elements. One-dimensional data has height 1; a matrix is one line of pixels.
struct PixelGrid {
  int64_t images = 1;
  int64_t height = 1;
  int64_t width = 1;
  int64_t channels = 1;
  int64_t image_pitch = 0;
  int64_t row_pitch = 0;
  int64_t pixel_pitch = 0;

  /// The pitch when pixel number p of all images lies at p times it. Throws InternalError when
  /// there is none.
  int64_t uniform_pitch() const;
};

/// kSecond: N x C (x H) x W with stride 1 along C. kLast: dense rows. Throws InternalError for
/// other views.
PixelGrid pixel_grid(const PlanView& view, ChannelAxis axis);

/// The kernels' form of a plan's epilogue, addresses filled in.
ProductEpilogue product_epilogue(const PlanEpilogue& epilogue, const BindContext& context);

}  // namespace lathe
