#include <algorithm>
#include <cmath>

#include "statistics/statistics.h"

namespace lathe {

std::optional<TwoModes> two_modes(std::span<const double> values) {
  constexpr size_t kFewest = 32;
  constexpr double kTrimmed = 0.02;
  constexpr double kSmallestGroup = 0.1;
  constexpr double kExplained = 0.85;
  constexpr double kApart = 1.05;
  if (values.size() < kFewest) return std::nullopt;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  if (!(sorted.front() > 0)) return std::nullopt;
  const auto cut = static_cast<size_t>(kTrimmed * static_cast<double>(sorted.size()));
  const std::span<const double> kept = std::span(sorted).subspan(cut, sorted.size() - 2 * cut);

  const double n = static_cast<double>(kept.size());
  std::vector<double> logs;
  for (const double value : kept) logs.push_back(std::log(value / kept.front()));
  double sum = 0;
  double squares = 0;
  for (const double x : logs) {
    sum += x;
    squares += x * x;
  }
  const double total = squares - sum * sum / n;
  if (!(total > 0)) return std::nullopt;

  double best = 0;
  size_t split = 0;  // values in the lower group
  double low_sum = 0;
  for (size_t i = 1; i < kept.size(); ++i) {
    low_sum += logs[i - 1];
    const double low = static_cast<double>(i);
    if (low < kSmallestGroup * n || n - low < kSmallestGroup * n) continue;
    const double apart = low_sum / low - (sum - low_sum) / (n - low);
    const double between = low * (n - low) / n * apart * apart;
    if (between <= best) continue;
    best = between;
    split = i;
  }
  if (split == 0 || best < kExplained * total) return std::nullopt;
  TwoModes modes;
  modes.low = median(kept.first(split));
  modes.high = median(kept.subspan(split));
  modes.high_share = (n - static_cast<double>(split)) / n;
  modes.explained = best / total;
  if (modes.high < kApart * modes.low) return std::nullopt;
  return modes;
}

}  // namespace lathe
