#include "layers/held_samples.h"

#include <algorithm>
#include <vector>

namespace lathe {
namespace {

SampleSource part_of(const SampleSource& all, bool held, size_t most) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < all.count && chosen.size() < most; ++i)
    if (is_held_out(i, all.count) == held) chosen.push_back(i);
  SampleSource part = all;
  part.count = chosen.size();
  part.sample = [chosen = std::move(chosen), sample = all.sample](size_t i) {
    return sample(chosen.at(i));
  };
  return part;
}

}  // namespace

std::vector<size_t> judging_samples(size_t count, size_t most) {
  std::vector<size_t> chosen;
  for (const bool held : {true, false})
    for (size_t i = 0; i < count && chosen.size() < most; ++i)
      if (judges_ranges(i) && is_held_out(i, count) == held) chosen.push_back(i);
  for (size_t i = 0; chosen.empty() && i < std::min<size_t>(count, 1); ++i) chosen.push_back(i);
  return chosen;
}

SampleSource judged_samples(const SampleSource& all, size_t most) {
  SampleSource judged = part_of(all, true, most);
  if (all.carry.empty() && judged.count > 0) return judged;
  judged = all;
  judged.count = std::min(all.count, 4 * most);
  return judged;
}

}  // namespace lathe
