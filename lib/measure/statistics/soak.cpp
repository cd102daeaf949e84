#include "statistics/soak.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lathe {
namespace {

constexpr size_t kFewestPoints = 20;
constexpr size_t kMostKept = 100'000;
constexpr size_t kMostInStretch = 1 << 16;
constexpr size_t kFewestReferences = 5;
constexpr int64_t kReferencePart = 20;
// What pages and allocators do by themselves.
constexpr double kLeastGrowth = 256.0 * 1024;
// Neighbouring stretches resemble each other: stricter than the usual 5 %.
constexpr double kSurely = 1e-4;
constexpr double kLeastChange = 0.01;

// Every so many values, in a fixed amount of memory: when it is full, every second one goes.
class ThinnedValues {
 public:
  explicit ThinnedValues(size_t capacity) : values_(capacity) {}
  void add(double value) {
    if (seen_++ % stride_ != 0) return;
    if (count_ == values_.size()) {
      count_ = (count_ + 1) / 2;
      for (size_t i = 0; i < count_; ++i) values_[i] = values_[2 * i];
      stride_ *= 2;
      if ((seen_ - 1) % stride_ != 0) return;
    }
    values_[count_++] = value;
  }
  void clear() { count_ = seen_ = 0, stride_ = 1; }
  size_t stride() const { return stride_; }
  std::span<double> values() { return std::span(values_).first(count_); }

 private:
  std::vector<double> values_;
  size_t count_ = 0;
  size_t seen_ = 0;
  size_t stride_ = 1;
};

double tenth_percentile(std::span<double> values) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 10);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

double median_of(std::span<const double> values) { return median(values); }

// Median distance of neighbours: noise without what changes slowly.
double noise_of(std::span<const double> values) {
  std::vector<double> steps;
  for (size_t i = 1; i < values.size(); ++i) steps.push_back(std::fabs(values[i] - values[i - 1]));
  return median(steps);
}

// nullopt: none that is significant, larger than the noise and a hundredth.
std::optional<LevelChange> believed_change(std::span<const double> values) {
  const double noise = noise_of(values) / median_of(values);
  auto change = level_change(values);
  if (!change || change->p >= kSurely ||
      std::fabs(change->ratio - 1) <= std::max(kLeastChange, 3 * noise))
    return std::nullopt;
  return change;
}

// It has to last: a slow moment in between is not a lower clock.
double lasting_slowdown(std::span<const double> values, const std::optional<LevelChange>& change) {
  if (!change) return 0;
  const double before = median_of(values.first(change->at));
  const double end = median_of(values.last(values.size() / 5));
  return std::max(0.0, std::min(change->ratio, end / before) - 1);
}

// Empty unless every stretch has one.
std::vector<double> references_of(std::span<const SoakPoint> points) {
  std::vector<double> references;
  for (const SoakPoint& point : points)
    if (point.reference_ns && *point.reference_ns > 0) references.push_back(*point.reference_ns);
  if (references.size() != points.size()) references.clear();
  return references;
}

void judge_latency(std::span<const SoakPoint> points, SoakVerdict& verdict) {
  std::vector<double> minutes;
  std::vector<double> latency;
  for (const SoakPoint& point : points) {
    minutes.push_back(point.seconds / 60);
    latency.push_back(point.latency_ns);
  }
  const double level = median_of(latency);
  if (auto slope = sen_slope(minutes, latency)) {
    slope->value /= level;
    slope->ci95 = {slope->ci95.low / level, slope->ci95.high / level};
    verdict.latency_per_minute = slope;
  }
  verdict.change = believed_change(latency);
  if (verdict.change) verdict.change_seconds = points[verdict.change->at - 1].seconds;
  verdict.slowdown = lasting_slowdown(latency, verdict.change);
  const std::vector<double> reference = references_of(points);
  if (reference.empty()) return;
  const auto machine_change = believed_change(reference);
  verdict.machine_slowdown = lasting_slowdown(reference, machine_change);
  if (machine_change) verdict.machine_seconds = points[machine_change->at - 1].seconds;
  // Both ways of reading have to agree: the loop's own jumps are no news about the engine.
  std::vector<double> relative;
  for (size_t i = 0; i < latency.size(); ++i) relative.push_back(latency[i] / reference[i]);
  verdict.slowdown =
      std::min(verdict.slowdown, lasting_slowdown(relative, believed_change(relative)));
}

void judge_memory(std::span<const SoakPoint> points, SoakVerdict& verdict) {
  // What is allocated once is allocated early.
  points = points.subspan(points.size() / 5);
  std::vector<double> runs;
  std::vector<double> bytes;
  for (const SoakPoint& point : points) {
    if (!point.resident_bytes) return;
    runs.push_back(point.runs);
    bytes.push_back(*point.resident_bytes);
  }
  verdict.bytes_per_run = sen_slope(runs, bytes);
  if (!verdict.bytes_per_run || verdict.bytes_per_run->ci95.low <= 0) return;
  const size_t quarter = bytes.size() / 4;
  const double growth = median_of(std::span<const double>(bytes).last(quarter)) -
                        median_of(std::span<const double>(bytes).first(quarter));
  if (growth >= kLeastGrowth) verdict.leak = verdict.bytes_per_run->value;
}

}  // namespace

SoakRun run_soak(const Runnable& run, int64_t duration_ns, const SoakSide& side,
                 const Conduct& conduct) {
  SoakRun soak;
  soak.points.reserve(2 * kSoakStretches);
  ThinnedValues kept(kMostKept);
  ThinnedValues stretch(kMostInStretch);
  const int64_t length = std::max<int64_t>(1, duration_ns / static_cast<int64_t>(kSoakStretches));
  const int64_t start = conduct.clock();
  int64_t stretch_start = start;
  int64_t now = start;
  for (;;) {
    const int64_t before = conduct.clock();
    run(soak.runs++);
    now = conduct.clock();
    kept.add(static_cast<double>(now - before));
    stretch.add(static_cast<double>(now - before));
    const bool is_over = now - start >= duration_ns;
    if (now - stretch_start >= length || is_over) {
      SoakPoint point;
      point.seconds = static_cast<double>(now - start) / 1e9;
      point.runs = static_cast<double>(soak.runs);
      point.latency_ns = tenth_percentile(stretch.values());
      stretch.clear();
      if (side.reference) {
        const int64_t begin = conduct.clock();
        for (size_t i = 0; i < kFewestReferences || now - begin < length / kReferencePart; ++i) {
          const int64_t at = conduct.clock();
          side.reference();
          now = conduct.clock();
          stretch.add(static_cast<double>(now - at));
        }
        point.reference_ns = tenth_percentile(stretch.values());
        stretch.clear();
      }
      if (const auto bytes = side.resident()) point.resident_bytes = static_cast<double>(*bytes);
      soak.points.push_back(point);
      stretch_start = conduct.clock();
    }
    soak.interrupted = conduct.interrupted();
    if (is_over || soak.interrupted) break;
  }
  soak.time_ns = now - start;
  soak.stride = kept.stride();
  soak.latency_ns.assign(kept.values().begin(), kept.values().end());
  return soak;
}

std::optional<Slope> sen_slope(std::span<const double> x, std::span<const double> y) {
  const size_t n = std::min(x.size(), y.size());
  if (n < 10) return std::nullopt;
  std::vector<double> slopes;
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i + 1; j < n; ++j)
      if (x[j] != x[i]) slopes.push_back((y[j] - y[i]) / (x[j] - x[i]));
  if (slopes.size() < n) return std::nullopt;
  std::sort(slopes.begin(), slopes.end());
  const auto count = static_cast<double>(n);
  // Standard deviation of Kendall's S without a trend; 1.96 of them on both sides of the median.
  const double half = 1.96 * std::sqrt(count * (count - 1) * (2 * count + 5) / 18) / 2;
  const double middle = static_cast<double>(slopes.size()) / 2;
  const auto at = [&](double rank) {
    const double last = static_cast<double>(slopes.size() - 1);
    return slopes[static_cast<size_t>(std::clamp(rank, 0.0, last))];
  };
  return Slope{median(slopes), {at(middle - half - 1), at(middle + half)}};
}

std::optional<LevelChange> level_change(std::span<const double> values) {
  const size_t n = values.size();
  if (n < 10) return std::nullopt;
  LevelChange change;
  double most = -1;
  double statistic = 0;
  for (size_t t = 0; t + 1 < n; ++t) {
    // U grows by the signs between value t and all others.
    for (size_t j = 0; j < n; ++j)
      statistic += values[t] > values[j] ? 1 : values[t] < values[j] ? -1 : 0;
    if (std::fabs(statistic) <= most) continue;
    most = std::fabs(statistic);
    change.at = t + 1;
  }
  const auto count = static_cast<double>(n);
  change.p =
      std::min(1.0, 2 * std::exp(-6 * most * most / (count * count * count + count * count)));
  const double before = median_of(values.first(change.at));
  change.ratio = before > 0 ? median_of(values.subspan(change.at)) / before : 1;
  return change;
}

SoakVerdict judge_soak(std::span<const SoakPoint> points) {
  SoakVerdict verdict;
  if (!points.empty()) verdict.seconds = points.back().seconds;
  if (points.size() < kFewestPoints) {
    verdict.reason = fmt::format("needs {} stretches of runs, has {}: measure longer",
                                 kFewestPoints, points.size());
    return verdict;
  }
  judge_latency(points, verdict);
  judge_memory(points, verdict);
  return verdict;
}

}  // namespace lathe
