#include "layers/held_samples.h"

#include <algorithm>
#include <vector>

namespace lathe {

SampleSource judged_samples(const SampleSource& all, size_t most) {
  SampleSource judged = all;
  std::vector<size_t> held;
  for (size_t i = 0; i < all.count && held.size() < most; ++i)
    if (is_held_out(i)) held.push_back(i);
  if (!all.carry.empty() || held.empty()) {
    judged.count = std::min(all.count, 4 * most);
    return judged;
  }
  judged.count = held.size();
  judged.sample = [held, sample = all.sample](size_t i) { return sample(held[i]); };
  return judged;
}

}  // namespace lathe
