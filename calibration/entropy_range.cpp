// The threshold of "8-bit Inference with TensorRT": see choose_range.h.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "calibration/choose_range.h"

namespace lathe {
namespace {

// Of |x|, in bins: prefix sums, so that a threshold costs as many logarithms as there are levels.
class Magnitudes {
 public:
  explicit Magnitudes(std::vector<double> counts) : counts_(std::move(counts)) {
    for (const double count : counts_) {
      total_ += count;
      sums_.push_back(sums_.back() + count);
      filled_.push_back(filled_.back() + (count > 0 ? 1 : 0));
      products_.push_back(products_.back() + times_log(count));
    }
  }

  size_t size() const { return counts_.size(); }

  // Kullback-Leibler divergence of keeping `kept` bins, with what is beyond added to the last one,
  // from the same quantized to `levels`, which cannot express that.
  double divergence(size_t kept, size_t levels) const {
    constexpr double kFloor = 1e-4;
    const double beyond = total_ - sums_[kept];
    const double last = counts_[kept - 1] + beyond;
    const double products = products_[kept - 1] + times_log(last);
    const double quantized_total = sums_[kept];
    if (total_ <= 0 || quantized_total <= 0) return std::numeric_limits<double>::infinity();
    double expected = 0;  // sum of p log q, p in counts
    for (size_t level = 0; level < levels; ++level) {
      const size_t first = level * kept / levels;
      const size_t end = (level + 1) * kept / levels;
      const double sum = sums_[end] - sums_[first];
      double reference = sum;
      double filled = filled_[end] - filled_[first];
      if (end == kept) {
        reference += beyond;
        if (counts_[kept - 1] == 0 && last > 0) filled += 1;
      }
      if (reference <= 0 || filled == 0) continue;
      const double each = std::max(sum / filled, kFloor) / quantized_total;
      expected += reference * std::log(each);
    }
    return (products - expected) / total_ - std::log(total_);
  }

 private:
  static double times_log(double count) { return count > 0 ? count * std::log(count) : 0; }

  std::vector<double> counts_;
  double total_ = 0;
  // Of all bins before one: counts, bins that are not empty, count log count.
  std::vector<double> sums_{0};
  std::vector<double> filled_{0};
  std::vector<double> products_{0};
};

}  // namespace

Range entropy_range(const Histogram& histogram, const IntegerGrid& grid) {
  if (histogram.count() == 0) return {};
  const auto& bins = histogram.bins();
  std::vector<double> counts(Histogram::kSideBins, 0.0);
  for (int i = 0; i < Histogram::kSideBins; ++i)
    counts[static_cast<size_t>(i)] =
        static_cast<double>(bins[static_cast<size_t>(Histogram::kSideBins + i)]) +
        static_cast<double>(bins[static_cast<size_t>(Histogram::kSideBins - 1 - i)]);
  // The spike of exact zeros after a ReLU is represented exactly by any scale; left in, it would
  // make ever narrower ranges look better.
  counts[0] = std::min(counts[0], counts[1]);
  // A symmetric grid spends half of its integers on each side, whatever the values are.
  const bool two_sided = grid.symmetric || (histogram.min() < 0 && histogram.max() > 0);
  const auto levels = static_cast<size_t>(grid.qmax - grid.qmin + 1) / (two_sided ? 2 : 1);
  size_t used = counts.size();
  while (used > levels && counts[used - 1] == 0) --used;
  counts.resize(used);
  const Magnitudes magnitudes(std::move(counts));
  size_t best = used;
  double least = std::numeric_limits<double>::infinity();
  for (size_t kept = levels; kept <= used; kept += 8) {
    const double value = magnitudes.divergence(kept, levels);
    if (value >= least) continue;
    least = value;
    best = kept;
  }
  if (best + 8 > used) best = used;
  const double threshold = static_cast<double>(best) * histogram.bin_width();
  return {std::max<double>(-threshold, histogram.min()),
          std::min<double>(threshold, histogram.max())};
}

}  // namespace lathe
