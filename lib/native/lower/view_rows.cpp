#include "lower/view_rows.h"

#include "lower/plan_builder.h"

namespace lathe {

bool is_gapless(const PlanView& view) {
  const std::vector<int64_t> dense = dense_strides(view.shape, memory_order(view));
  for (size_t i = 0; i < view.shape.size(); ++i)
    if (view.shape[i] > 1 && view.strides[i] != dense[i]) return false;
  return true;
}

bool has_pixel_pitch(const PlanView& view) {
  const size_t rank = view.shape.size();
  if (rank < 2 || rank > 4 || (view.shape[1] > 1 && view.strides[1] != 1)) return false;
  int64_t pitch = 0;
  int64_t expected = 0;
  for (size_t i = rank; i-- > 0;) {
    if (i == 1 || view.shape[i] == 1) continue;
    if (pitch == 0) pitch = expected = view.strides[i];
    if (view.strides[i] != expected) return false;
    expected *= view.shape[i];
  }
  return pitch >= 0;
}

}  // namespace lathe
