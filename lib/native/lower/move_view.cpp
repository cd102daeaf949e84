#include "lower/move_view.h"

#include <algorithm>

namespace lathe {

bool move_view(PlanView& view, ArrayMove& move) {
  std::vector<ArrayMove::Digit>& digits = move.digits;
  std::vector<int64_t> most;  // the digit of the view's last element
  int64_t rest = view.offset;
  view.offset = move.start;
  for (const ArrayMove::Digit& digit : digits) {
    most.push_back(rest / digit.period);
    view.offset += most.back() * digit.pitch;
    rest %= digit.period;
  }
  if (rest != 0) return false;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    int64_t& stride = view.strides[i];
    if (view.shape[i] <= 1 || stride == 0) continue;
    if (stride < 0) return false;
    size_t d = 0;
    while (d < digits.size() && stride % digits[d].period != 0) ++d;
    if (d == digits.size()) return false;
    const int64_t count = stride / digits[d].period;
    most[d] += (view.shape[i] - 1) * count;
    stride = count * digits[d].pitch;
  }
  // No digit grows into the next.
  for (size_t d = 1; d < digits.size(); ++d)
    if (most[d] * digits[d].period >= digits[d - 1].period) return false;
  for (size_t d = 0; d < digits.size(); ++d) digits[d].most = std::max(digits[d].most, most[d]);
  return true;
}

bool keeps_apart(const ArrayMove& move) {
  std::vector<ArrayMove::Digit> digits = move.digits;
  std::ranges::sort(digits, {}, &ArrayMove::Digit::pitch);
  int64_t reach = 0;  // of all digits with smaller pitches
  for (const ArrayMove::Digit& digit : digits) {
    if (digit.most == 0) continue;
    if (digit.pitch <= reach) return false;
    reach += digit.most * digit.pitch;
  }
  return true;
}

}  // namespace lathe
