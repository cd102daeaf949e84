#include "calibration/choose_range.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "ir/quantization.h"

namespace lathe {
namespace {

constexpr std::array<std::string_view, 5> kNames{"auto", "minmax", "percentile", "entropy", "mse"};

// What other tools use as their default percentile.
constexpr double kPercentile = 99.999;

ScaleZeroPoint parameters(const Range& range, const IntegerGrid& grid) {
  return grid.symmetric
             ? choose_symmetric(std::max(std::fabs(range.min), std::fabs(range.max)), grid.qmax)
             : choose_asymmetric(range.min, range.max, grid.qmin, grid.qmax);
}

Range clipped(const Range& range, const Histogram& histogram) {
  return {std::max<double>(range.min, histogram.min()),
          std::min<double>(range.max, histogram.max())};
}

// KL divergence of keeping |x| <= `kept` bins (magnitudes folded), quantized to `levels`.
double divergence(const std::vector<double>& magnitudes, size_t kept, size_t levels) {
  std::vector<double> reference(magnitudes.begin(),
                                magnitudes.begin() + static_cast<ptrdiff_t>(kept));
  for (size_t i = kept; i < magnitudes.size(); ++i) reference.back() += magnitudes[i];
  std::vector<double> quantized(kept, 0.0);
  for (size_t level = 0; level < levels; ++level) {
    const size_t first = level * kept / levels;
    const size_t last = (level + 1) * kept / levels;
    double sum = 0;
    size_t filled = 0;
    // The clipped tail is in the reference only: the quantized form cannot express it.
    for (size_t i = first; i < last; ++i) {
      sum += magnitudes[i];
      filled += reference[i] > 0 ? 1 : 0;
    }
    for (size_t i = first; i < last; ++i)
      if (reference[i] > 0) quantized[i] = sum / static_cast<double>(filled);
  }
  double total = 0;
  double quantized_total = 0;
  for (size_t i = 0; i < kept; ++i) {
    total += reference[i];
    quantized_total += quantized[i];
  }
  if (total <= 0 || quantized_total <= 0) return INFINITY;
  constexpr double kFloor = 1e-4;
  double sum = 0;
  for (size_t i = 0; i < kept; ++i) {
    if (reference[i] <= 0) continue;
    const double p = reference[i] / total;
    const double q = std::max(quantized[i], kFloor) / quantized_total;
    sum += p * std::log(p / q);
  }
  return sum;
}

// Shares of its extreme that an end of the range is shrunk to.
std::vector<double> shrink_fractions() {
  constexpr int kSteps = 64;
  std::vector<double> fractions;
  for (int step = kSteps; step > 0; --step)
    fractions.push_back(static_cast<double>(step) / kSteps);
  // Behind a Sigmoid or SiLU almost all of a side may be worth nothing.
  for (const int part : {96, 128, 192, 256, 512, 1024}) fractions.push_back(1.0 / part);
  return fractions;
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

Range entropy_range(const Histogram& histogram, const IntegerGrid& grid) {
  if (histogram.count() == 0) return {};
  const auto& bins = histogram.bins();
  std::vector<double> magnitudes(Histogram::kSideBins, 0.0);
  for (int i = 0; i < Histogram::kSideBins; ++i)
    magnitudes[static_cast<size_t>(i)] =
        static_cast<double>(bins[static_cast<size_t>(Histogram::kSideBins + i)]) +
        static_cast<double>(bins[static_cast<size_t>(Histogram::kSideBins - 1 - i)]);
  // The spike of exact zeros after a ReLU is represented exactly by any scale; left in, it would
  // make ever narrower ranges look better.
  magnitudes[0] = std::min(magnitudes[0], magnitudes[1]);
  // A symmetric grid spends half of its integers on each side, whatever the values are.
  const bool two_sided = grid.symmetric || (histogram.min() < 0 && histogram.max() > 0);
  const auto levels = static_cast<size_t>(grid.qmax - grid.qmin + 1) / (two_sided ? 2 : 1);
  size_t used = magnitudes.size();
  while (used > levels && magnitudes[used - 1] == 0) --used;
  magnitudes.resize(used);
  size_t best = used;
  double least = INFINITY;
  for (size_t kept = levels; kept <= used; kept += 8) {
    const double value = divergence(magnitudes, kept, levels);
    if (value < least) {
      least = value;
      best = kept;
    }
  }
  if (best + 8 > used) best = used;
  const double threshold = static_cast<double>(best) * histogram.bin_width();
  return clipped({-threshold, threshold}, histogram);
}

double quantization_error(const Histogram& histogram, const Range& range, const IntegerGrid& grid,
                          const Response& response) {
  if (histogram.count() == 0) return 0;
  const ScaleZeroPoint chosen = parameters(range, grid);
  const double low = (grid.qmin - chosen.zero_point) * static_cast<double>(chosen.scale);
  const double high = (grid.qmax - chosen.zero_point) * static_cast<double>(chosen.scale);
  const double step = chosen.scale;
  const double width = histogram.bin_width();
  const auto& bins = histogram.bins();
  double sum = 0;
  for (size_t i = 0; i < bins.size(); ++i) {
    if (bins[i] == 0) continue;
    const double center = histogram.bin_center(static_cast<int>(i));
    double error = 0;
    if (response) {
      const double nearest = std::clamp(std::nearbyint(center / step) * step, low, high);
      const double off = response(nearest) - response(center);
      // Where bins are no finer than steps, what a step makes of the number is spread evenly.
      const double half = response(center + step / 2) - response(center - step / 2);
      const bool fine = width * 4 < step || center < low || center > high;
      error = fine ? off * off : half * half / 12.0;
    } else if (center < low || center > high) {
      const double excess = center < low ? low - center : center - high;
      error = excess * excess;
    } else if (width * 4 < step) {
      // A bin much finer than a step: its centre stands for it.
      const double off = center - std::nearbyint(center / step) * step;
      error = off * off;
    } else {
      error = step * step / 12.0;
    }
    sum += error * static_cast<double>(bins[i]);
  }
  return sum / static_cast<double>(histogram.count());
}

Range mse_range(const Histogram& histogram, const IntegerGrid& grid, const Response& response) {
  if (histogram.count() == 0) return {};
  const Range full = min_max_range(histogram);
  Range best = full;
  double least = quantization_error(histogram, full, grid, response);
  const auto consider = [&](const Range& candidate) {
    const double error = quantization_error(histogram, candidate, grid, response);
    if (error >= least) return;
    least = error;
    best = candidate;
  };
  // Both ends together first, then each end alone around the best found.
  const std::vector<double> fractions = shrink_fractions();
  for (const double fraction : fractions) consider({full.min * fraction, full.max * fraction});
  if (!grid.symmetric) {
    for (const double fraction : fractions) consider({best.min, full.max * fraction});
    for (const double fraction : fractions) consider({full.min * fraction, best.max});
  }
  return best;
}

ChosenRange choose_range(Observer observer, const Histogram& histogram, const IntegerGrid& grid,
                         const Response& response) {
  const auto candidate = [&](Observer which) {
    ChosenRange chosen;
    chosen.observer = which;
    switch (which) {
      case Observer::kPercentile: chosen.range = percentile_range(histogram, kPercentile); break;
      case Observer::kEntropy: chosen.range = entropy_range(histogram, grid); break;
      case Observer::kMse: chosen.range = mse_range(histogram, grid, response); break;
      default: chosen.range = min_max_range(histogram); break;
    }
    chosen.error = quantization_error(histogram, chosen.range, grid, response);
    return chosen;
  };
  if (observer != Observer::kAuto) return candidate(observer);
  ChosenRange best = candidate(Observer::kMinMax);
  for (const Observer which : {Observer::kPercentile, Observer::kEntropy, Observer::kMse}) {
    const ChosenRange other = candidate(which);
    if (other.error < best.error) best = other;
  }
  return best;
}

}  // namespace lathe
