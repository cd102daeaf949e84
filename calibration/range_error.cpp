#include "calibration/range_error.h"

#include <algorithm>
#include <cmath>

namespace lathe {
namespace {

ScaleZeroPoint parameters(const Range& range, const IntegerGrid& grid) {
  return grid.symmetric
             ? choose_symmetric(std::max(std::fabs(range.min), std::fabs(range.max)), grid.qmax)
             : choose_asymmetric(range.min, range.max, grid.qmin, grid.qmax);
}

// Half to even, as nearbyint, of less than 2^51; the vector units have it.
double rounded(double x) {
  constexpr double kMagic = 0x1.8p52;
  return (x + kMagic) - kMagic;
}

// A bin much finer than a step: its centre stands for it. Else what is in it is spread evenly.
bool is_fine(double width, double step) { return width * 4 < step; }

}  // namespace

RangeError::RangeError(const Histogram& histogram, const IntegerGrid& grid,
                       const Response& response)
    : grid_(grid),
      response_(response),
      width_(histogram.bin_width()),
      count_(static_cast<double>(histogram.count())) {
  const auto& bins = histogram.bins();
  for (size_t i = 0; i < bins.size(); ++i) {
    if (bins[i] == 0) continue;
    centers_.push_back(histogram.bin_center(static_cast<int>(i)));
    counts_.push_back(static_cast<double>(bins[i]));
    if (response_) responses_.push_back(response_(centers_.back()));
  }
}

double RangeError::of(const Range& range) const {
  if (centers_.empty()) return 0;
  const ScaleZeroPoint chosen = parameters(range, grid_);
  return (response_ ? behind_response(chosen) : of_values(chosen)) / count_;
}

double RangeError::of_values(const ScaleZeroPoint& chosen) const {
  const double step = chosen.scale;
  const double low = (grid_.qmin - chosen.zero_point) * step;
  const double high = (grid_.qmax - chosen.zero_point) * step;
  const auto from = std::lower_bound(centers_.begin(), centers_.end(), low);
  const auto first = static_cast<size_t>(from - centers_.begin());
  const auto end =
      static_cast<size_t>(std::upper_bound(from, centers_.end(), high) - centers_.begin());
  double sum = 0;
  const auto add_beyond = [&](size_t begin, size_t until, double bound) {
    for (size_t i = begin; i < until; ++i)
      sum += (centers_[i] - bound) * (centers_[i] - bound) * counts_[i];
  };
  add_beyond(0, first, low);
  add_beyond(end, centers_.size(), high);
  if (is_fine(width_, step)) {
    const double inverse = 1 / step;
    for (size_t i = first; i < end; ++i) {
      const double off = centers_[i] - rounded(centers_[i] * inverse) * step;
      sum += off * off * counts_[i];
    }
  } else {
    for (size_t i = first; i < end; ++i) sum += step * step / 12.0 * counts_[i];
  }
  return sum;
}

double RangeError::behind_response(const ScaleZeroPoint& chosen) const {
  const double step = chosen.scale;
  const int32_t least = grid_.qmin - chosen.zero_point;
  const int32_t most = grid_.qmax - chosen.zero_point;
  // By the distance from `least`; made when they are needed.
  std::vector<double> levels(static_cast<size_t>(most - least) + 1, NAN);
  double sum = 0;
  for (size_t i = 0; i < centers_.size(); ++i) {
    const double center = centers_[i];
    const double wanted = rounded(center / step);
    double error = 0;
    if (is_fine(width_, step) || wanted < least || wanted > most) {
      const auto level = static_cast<int32_t>(std::clamp<double>(wanted, least, most));
      double& made = levels[static_cast<size_t>(level - least)];
      if (std::isnan(made)) made = response_(level * step);
      error = (made - responses_[i]) * (made - responses_[i]);
    } else {
      // Where bins are no finer than steps, what a step makes of the number is spread evenly.
      const double half = response_(center + step / 2) - response_(center - step / 2);
      error = half * half / 12.0;
    }
    sum += error * counts_[i];
  }
  return sum;
}

}  // namespace lathe
