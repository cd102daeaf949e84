#include "plan/view_overlap.h"

#include <algorithm>

namespace lathe {
namespace {

/// Where the bytes of a view lie modulo `period`: from `begin` up to `end`, which is at most
/// `period`. False: all over.
bool range_within(const PlanView& view, int64_t period, ByteSpan& range) {
  const int64_t size = element_bytes(view);
  int64_t begin = view.offset * size;
  int64_t reach = 0;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    if (view.shape[i] <= 1) continue;
    const int64_t stride = view.strides[i] * size;
    if (stride % period == 0) continue;
    if (stride < 0) return false;
    reach += (view.shape[i] - 1) * stride;
  }
  begin %= period;
  range = {begin, begin + reach + size};
  return range.end <= period;
}

/// A period of the addresses shows that they have no byte in common.
bool interleave(const PlanView& a, const PlanView& b) {
  for (const PlanView* view : {&a, &b}) {
    for (size_t i = 0; i < view->shape.size(); ++i) {
      if (view->shape[i] <= 1) continue;
      const int64_t period = view->strides[i] * element_bytes(*view);
      ByteSpan one;
      ByteSpan other;
      if (period > 0 && range_within(a, period, one) && range_within(b, period, other) &&
          (one.end <= other.begin || other.end <= one.begin))
        return true;
    }
  }
  return false;
}

}  // namespace

ByteSpan byte_span(const PlanView& view) {
  const int64_t size = element_bytes(view);
  int64_t first = view.offset;
  int64_t last = view.offset;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    if (view.shape[i] == 0) return {};
    if (view.shape[i] == 1) continue;
    const int64_t reach = (view.shape[i] - 1) * view.strides[i];
    first += std::min<int64_t>(reach, 0);
    last += std::max<int64_t>(reach, 0);
  }
  return {first * size, (last + 1) * size};
}

bool same_elements(const PlanView& a, const PlanView& b) {
  if (a.block != b.block || a.offset != b.offset || a.shape != b.shape ||
      dtype_bits(a.dtype) != dtype_bits(b.dtype))
    return false;
  for (size_t i = 0; i < a.shape.size(); ++i)
    if (a.shape[i] > 1 && a.strides[i] != b.strides[i]) return false;
  return true;
}

bool may_share_bytes(const PlanView& a, const PlanView& b) {
  if (a.block != b.block) return false;
  const ByteSpan one = byte_span(a);
  const ByteSpan other = byte_span(b);
  return one.begin < other.end && other.begin < one.end && !interleave(a, b);
}

}  // namespace lathe
