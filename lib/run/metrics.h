// Task metrics over samples.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace at {
class Tensor;
}

namespace lathe {

enum class Metric : uint8_t { kTop1, kTop5, kMse, kMae, kMiou, kAgreement, kSqnr };

std::string_view metric_name(Metric metric);
std::optional<Metric> metric_from_name(std::string_view name);
/// Larger is better (all but mse and mae).
bool is_higher_better(Metric metric);
/// Needs labels (top1, top5, miou); the others compare with the reference model's output.
bool needs_labels(Metric metric);

/// How much worse `after` is than `before`, in the metric's bad direction: absolute points for
/// metrics within 0..1 (0.01 = one point), relative otherwise. Negative: better.
double metric_drop(Metric metric, double before, double after);

/// Collects one model's outputs. Per-sample contributions are kept by sample number, so the sum
/// does not depend on the order of arrival; `add` may be called from several threads for
/// different samples.
class MetricCollector {
 public:
  MetricCollector(Metric metric, size_t samples);

  /// `output`: the model's first output for a sample, batch dimension included (trailing dimensions
  /// of 1 are dropped; classes are on axis 1). `labels`: class of each item of the batch, or of
  /// each pixel for miou. `reference`: the float model's output (agreement, sqnr, mse, mae).
  void add(size_t sample, const at::Tensor& output, std::span<const int64_t> labels,
           const at::Tensor& reference);

  /// nullopt when nothing was added. sqnr is in dB, infinite when there is no error.
  std::optional<double> value() const;
  /// Number of items counted.
  int64_t items() const;

 private:
  struct Part {
    double numerator = 0;
    double denominator = 0;
    std::vector<int64_t> intersections;  // miou, by class
    std::vector<int64_t> unions;
  };

  Metric metric_;
  std::vector<Part> parts_;
};

}  // namespace lathe
