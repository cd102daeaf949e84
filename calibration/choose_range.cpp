#include "calibration/choose_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "calibration/range_error.h"

namespace lathe {
namespace {

constexpr std::array<std::string_view, 5> kNames{"auto", "minmax", "percentile", "entropy", "mse"};

// What other tools use as their default percentile.
constexpr double kPercentile = 99.999;

Range clipped(const Range& range, const Histogram& histogram) {
  return {std::max<double>(range.min, histogram.min()),
          std::min<double>(range.max, histogram.max())};
}

constexpr int kShrinkSteps = 64;
constexpr int kCoarse = 4;

// The fraction for which `error` is least, of the shares of its extreme that an end of the range is
// shrunk to: some of them first, then all beside the best.
template <class Error>
double least_fraction(const Error& error) {
  double best = 1;
  double least = error(1);
  const auto consider = [&](double fraction) {
    const double found = error(fraction);
    if (found >= least) return;
    least = found;
    best = fraction;
  };
  const auto fraction = [](int step) { return static_cast<double>(step) / kShrinkSteps; };
  for (int step = kShrinkSteps - kCoarse; step > 0; step -= kCoarse) consider(fraction(step));
  // Behind a Sigmoid or SiLU almost all of a side may be worth nothing.
  for (const int part : {32, 64, 128, 256, 512, 1024}) consider(1.0 / part);
  const int center = static_cast<int>(best * kShrinkSteps);
  for (int step = center + kCoarse - 1; step > center - kCoarse; --step)
    if (step > 0 && step < kShrinkSteps) consider(fraction(step));
  return best;
}

Range mse_range(const Histogram& histogram, const IntegerGrid& grid, const RangeError& error) {
  if (histogram.count() == 0) return {};
  const Range full = min_max_range(histogram);
  // Both ends together first, then each end alone around the best found.
  const double both = least_fraction([&](double share) {
    return error.of({full.min * share, full.max * share});
  });
  Range best{full.min * both, full.max * both};
  if (grid.symmetric) return best;
  const auto better = [&](const Range& range) {
    if (error.of(range) < error.of(best)) best = range;
  };
  const double above = least_fraction([&](double share) {
    return error.of({best.min, full.max * share});
  });
  better({best.min, full.max * above});
  const double below = least_fraction([&](double share) {
    return error.of({full.min * share, best.max});
  });
  better({full.min * below, best.max});
  return best;
}

}  // namespace

std::string_view observer_name(Observer observer) { return kNames[static_cast<size_t>(observer)]; }

std::optional<Observer> observer_from_name(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Observer>(i);
  return std::nullopt;
}

Range min_max_range(const Histogram& histogram) { return {histogram.min(), histogram.max()}; }

Range percentile_range(const Histogram& histogram, double percent) {
  if (histogram.count() == 0) return {};
  const bool two_sided = histogram.min() < 0 && histogram.max() > 0;
  const double outside =
      (100.0 - percent) / 100.0 * static_cast<double>(histogram.count()) / (two_sided ? 2.0 : 1.0);
  const auto& bins = histogram.bins();
  Range range = min_max_range(histogram);
  if (histogram.max() > 0) {
    double above = 0;
    for (int bin = static_cast<int>(bins.size()) - 1; bin >= 0; --bin) {
      above += static_cast<double>(bins[static_cast<size_t>(bin)]);
      if (above <= outside) continue;
      range.max = histogram.bin_start(bin) + histogram.bin_width();
      break;
    }
  }
  if (histogram.min() < 0) {
    double below = 0;
    for (int bin = 0; bin < static_cast<int>(bins.size()); ++bin) {
      below += static_cast<double>(bins[static_cast<size_t>(bin)]);
      if (below <= outside) continue;
      range.min = histogram.bin_start(bin);
      break;
    }
  }
  return clipped(range, histogram);
}

double quantization_error(const Histogram& histogram, const Range& range, const IntegerGrid& grid,
                          const Response& response) {
  return RangeError(histogram, grid, response).of(range);
}

Range mse_range(const Histogram& histogram, const IntegerGrid& grid, const Response& response) {
  return mse_range(histogram, grid, RangeError(histogram, grid, response));
}

std::string range_rule_text(const RangeRule& rule) {
  std::string text(observer_name(rule.observer));
  return rule.reach < 1 ? fmt::format("{}*{}", text, rule.reach) : text;
}

std::optional<RangeRule> range_rule_from_text(std::string_view text) {
  const size_t star = std::min(text.find('*'), text.size());
  RangeRule rule;
  const std::optional<Observer> observer = observer_from_name(text.substr(0, star));
  if (!observer) return std::nullopt;
  rule.observer = *observer;
  if (star == text.size()) return rule;
  const std::string_view reach = text.substr(star + 1);
  const auto [end, problem] =
      std::from_chars(reach.data(), reach.data() + reach.size(), rule.reach);
  if (problem != std::errc() || end != reach.data() + reach.size() ||
      !(rule.reach > 0 && rule.reach <= 1))
    return std::nullopt;
  return rule;
}

ChosenRange choose_range(const RangeRule& rule, const Histogram& histogram, const IntegerGrid& grid,
                         const Response& response) {
  const RangeError error(histogram, grid, response);
  const auto candidate = [&](Observer which) {
    ChosenRange chosen;
    chosen.observer = which;
    switch (which) {
      case Observer::kPercentile: chosen.range = percentile_range(histogram, kPercentile); break;
      case Observer::kEntropy: chosen.range = entropy_range(histogram, grid); break;
      case Observer::kMse: chosen.range = mse_range(histogram, grid, error); break;
      default: chosen.range = min_max_range(histogram); break;
    }
    if (rule.reach < 1) {
      const double end =
          rule.reach * std::max(std::fabs(chosen.range.min), std::fabs(chosen.range.max));
      chosen.range = {std::max(chosen.range.min, -end), std::min(chosen.range.max, end)};
    }
    chosen.error = error.of(chosen.range);
    return chosen;
  };
  if (rule.observer != Observer::kAuto) return candidate(rule.observer);
  ChosenRange best = candidate(Observer::kMinMax);
  for (const Observer which : {Observer::kPercentile, Observer::kEntropy, Observer::kMse}) {
    const ChosenRange other = candidate(which);
    if (other.error < best.error) best = other;
  }
  return best;
}

}  // namespace lathe
