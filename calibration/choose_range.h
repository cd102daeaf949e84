// From a histogram to the range that quantization maps onto the integers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "calibration/histogram.h"

namespace lathe {

/// Ways to choose a range. kAuto measures the squared quantization error of every candidate and
/// takes the smallest.
enum class Observer : uint8_t { kAuto, kMinMax, kPercentile, kEntropy, kMse };

std::string_view observer_name(Observer observer);
std::optional<Observer> observer_from_name(std::string_view name);

struct Range {
  double min = 0;
  double max = 0;
  bool operator==(const Range&) const = default;
};

/// The integers that a range is mapped onto. `symmetric`: zero point 0 and a scale for max(|min|,
/// |max|).
struct IntegerGrid {
  int32_t qmin = 0;
  int32_t qmax = 255;
  bool symmetric = false;
};

/// What the value's readers make of a number, where that is known: errors then count behind it.
/// Empty: the number itself.
using Response = std::function<double(double)>;

/// Smallest and largest value seen.
Range min_max_range(const Histogram& histogram);
/// The range that leaves out (100 - percent) / 2 % of the values on each side (one side only when
/// all values have one sign), never wider than the extremes. `percent` in (0, 100].
Range percentile_range(const Histogram& histogram, double percent);
/// Threshold of least Kullback-Leibler divergence between the values' distribution and its
/// quantized form (S. Migacz, "8-bit Inference with TensorRT", GTC 2017).
Range entropy_range(const Histogram& histogram, const IntegerGrid& grid);
/// Range of least mean squared quantization error, by search over both ends.
Range mse_range(const Histogram& histogram, const IntegerGrid& grid, const Response& response = {});

/// Mean squared error of quantizing the histogram's values with the parameters of `range`:
/// clipping and rounding. Values within a bin count as spread evenly.
double quantization_error(const Histogram& histogram, const Range& range, const IntegerGrid& grid,
                          const Response& response = {});

/// How the range of a value is chosen.
struct RangeRule {
  RangeRule(Observer by = Observer::kMinMax, double part = 1) : observer(by), reach(part) {}

  Observer observer;
  /// What is left of the larger of the range's ends in magnitude, both ends cut off there.
  double reach;
};

/// "minmax", "entropy", "minmax*0.35", and back; nullopt for another text.
std::string range_rule_text(const RangeRule& rule);
std::optional<RangeRule> range_rule_from_text(std::string_view text);

struct ChosenRange {
  Range range;
  Observer observer = Observer::kMinMax;  // which candidate it is; never kAuto
  double error = 0;                       // quantization_error of it
};

/// The range by `rule`. An empty histogram gives {0, 0}.
ChosenRange choose_range(const RangeRule& rule, const Histogram& histogram, const IntegerGrid& grid,
                         const Response& response = {});

}  // namespace lathe
