#include "tune/paired_times.h"

#include <algorithm>

namespace lathe {

int64_t lower_quartile(std::vector<int64_t> times_ns) {
  if (times_ns.empty()) return 0;
  const auto at = times_ns.begin() + static_cast<int64_t>(times_ns.size() / 4);
  std::nth_element(times_ns.begin(), at, times_ns.end());
  return *at;
}

double spread(std::vector<int64_t> times_ns) {
  if (times_ns.empty()) return 1;
  std::sort(times_ns.begin(), times_ns.end());
  const int64_t low = std::max<int64_t>(times_ns[times_ns.size() / 4], 1);
  return static_cast<double>(times_ns[times_ns.size() * 3 / 4]) / static_cast<double>(low);
}

bool other_wins(const PairedTimes& times, const WinRule& rule) {
  const int64_t now = lower_quartile(times.now_ns);
  const int64_t gain = now - lower_quartile(times.other_ns);
  if (gain < rule.least_gain_ns ||
      static_cast<double>(gain) < rule.least_gain * static_cast<double>(now))
    return false;
  size_t wins = 0;
  for (size_t i = 0; i < times.now_ns.size(); ++i) wins += times.other_ns[i] < times.now_ns[i];
  return static_cast<double>(wins) >= rule.least_share * static_cast<double>(times.now_ns.size());
}

}  // namespace lathe
