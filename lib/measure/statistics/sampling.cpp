#include "statistics/sampling.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace lathe {
namespace {

int64_t time_once(const Runnable& run, size_t iteration, const Clock& clock) {
  const int64_t start = clock();
  run(iteration);
  return clock() - start;
}

bool windows_agree(std::span<const double> latencies, double agreement) {
  const size_t window = std::max<size_t>(2, latencies.size() / 4);
  if (latencies.size() < 2 * window) return false;
  const double last = median(latencies.last(window));
  const double before = median(latencies.last(2 * window).first(window));
  return std::fabs(last - before) <= agreement * before;
}

bool precise_enough(std::span<const double> latencies, double max_half_width) {
  std::vector<double> sorted(latencies.begin(), latencies.end());
  std::sort(sorted.begin(), sorted.end());
  const auto interval = quantile_interval(sorted, 0.5, effective_count(latencies));
  if (!interval) return false;
  return (interval->high - interval->low) / 2 <= max_half_width * quantile(sorted, 0.5);
}

}  // namespace

std::string_view stop_reason_name(StopReason reason) {
  static constexpr std::string_view kNames[] = {"converged", "iterations", "max_time",
                                                "max_iterations", "interrupted"};
  return kNames[static_cast<size_t>(reason)];
}

WarmUp warm_up(const Runnable& run, const WarmUpOptions& options, const Conduct& conduct) {
  const int64_t start = conduct.clock();
  std::vector<double> latencies;
  WarmUp result;
  // The medians are compared each time the count has grown by an eighth: asking after each
  // iteration would cost more than a small model.
  size_t next_check = std::max<size_t>(1, options.min_iterations);
  while (true) {
    if (conduct.interrupted()) {
      result.stop_reason = StopReason::kInterrupted;
      break;
    }
    latencies.push_back(static_cast<double>(time_once(run, latencies.size(), conduct.clock)));
    result.time_ns = conduct.clock() - start;
    const size_t n = latencies.size();
    if (n >= options.min_iterations && result.time_ns >= options.min_ns && n >= next_check) {
      if (windows_agree(latencies, options.agreement)) {
        result.converged = true;
        result.stop_reason = StopReason::kConverged;
        break;
      }
      next_check = n + std::max<size_t>(1, n / 8);
    }
    if (n >= options.max_iterations) {
      result.stop_reason = StopReason::kMaxIterations;
      break;
    }
    if (n >= options.min_iterations && result.time_ns >= options.max_ns) break;
  }
  result.iterations = latencies.size();
  const size_t window = std::max<size_t>(1, latencies.size() / 4);
  if (!latencies.empty()) {
    result.last_median_ns = median(std::span<const double>(latencies).last(window));
  }
  return result;
}

Samples take_samples(const Runnable& run, const SamplingOptions& options, const Conduct& conduct) {
  const int64_t start = conduct.clock();
  Samples result;
  std::vector<double>& latencies = result.latency_ns;
  size_t next_check = std::max<size_t>(1, options.enough_samples);
  while (true) {
    latencies.push_back(static_cast<double>(time_once(run, latencies.size(), conduct.clock)));
    result.time_ns = conduct.clock() - start;
    const size_t n = latencies.size();
    if (conduct.interrupted()) {
      result.stop_reason = StopReason::kInterrupted;
      return result;
    }
    if (options.iterations && n >= *options.iterations) {
      result.stop_reason = StopReason::kIterations;
      return result;
    }
    if (!options.iterations && n >= next_check && result.time_ns >= options.min_ns) {
      if (precise_enough(latencies, options.max_half_width)) {
        result.stop_reason = StopReason::kConverged;
        return result;
      }
      next_check = n + n / 4 + 1;
    }
    if (result.time_ns >= options.max_ns) return result;
    if (n >= options.max_iterations) {
      result.stop_reason = StopReason::kMaxIterations;
      return result;
    }
  }
}

Estimate throughput(const Summary& latency_ns, double items_per_iteration) {
  // A clock too coarse for the model reads 0; one nanosecond keeps the number finite.
  const auto rate = [items_per_iteration](double ns) {
    return items_per_iteration * 1e9 / std::max(ns, 1.0);
  };
  const Estimate& median = latency_ns.median;
  Estimate result{rate(median.value), {}};
  if (median.ci95) result.ci95 = {rate(median.ci95->high), rate(median.ci95->low)};
  return result;
}

}  // namespace lathe
