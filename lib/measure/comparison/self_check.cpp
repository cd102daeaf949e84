#include "comparison/self_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr int64_t kCalibrationNs = 300'000'000;
constexpr size_t kFewestTimings = 15;
constexpr size_t kMostTimings = 2000;

// The fastest of many, and how long it took to find out.
double fastest_ns(const std::function<void(size_t)>& run, int64_t budget, const Conduct& conduct) {
  const int64_t start = conduct.clock();
  double fastest = std::numeric_limits<double>::max();
  for (size_t i = 0; i < kMostTimings; ++i) {
    const int64_t before = conduct.clock();
    if (i >= kFewestTimings && before - start > budget) break;
    if (i > 0 && conduct.interrupted()) break;
    run(i);
    fastest = std::min(fastest, static_cast<double>(conduct.clock() - before));
  }
  return std::max(fastest, 1.0);
}

ComparisonOptions halved(const ComparisonOptions& options) {
  ComparisonOptions half = options;
  half.max_ns = std::max<int64_t>(1, options.max_ns / 2);
  return half;
}

std::string note_on(const SelfCheck& check) {
  const std::string found = fmt::format("{}, {}", comparison_verdict_name(check.itself.verdict),
                                        comparison_verdict_name(check.slowed.verdict));
  if (check.itself.verdict == ComparisonVerdict::kRegressed ||
      check.itself.verdict == ComparisonVerdict::kImproved)
    return fmt::format("the model against itself came out as {}: do not gate on times here",
                       comparison_verdict_name(check.itself.verdict));
  if (check.verdict == SelfCheckVerdict::kFail)
    return fmt::format("{:.2g} % of added work was not seen ({})", 100 * check.injected, found);
  if (!check.resolvable) return "too few pairs for a verdict";
  return fmt::format("this machine resolves {:.2g} % in this time ({})", 100 * *check.resolvable,
                     found);
}

}  // namespace

std::string_view self_check_verdict_name(SelfCheckVerdict verdict) {
  static constexpr std::string_view kNames[] = {"pass", "fail", "inconclusive"};
  return kNames[static_cast<size_t>(verdict)];
}

void burn(int64_t units) {
  uint64_t state = 0x9E3779B97F4A7C15ULL;
  for (int64_t i = 0; i < units; ++i) {
    state = (state ^ (state >> 29)) * 0xBF58476D1CE4E5B9ULL;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  // The result must be seen to matter, or the loop is taken out.
  volatile uint64_t kept = state;
  static_cast<void>(kept);
}

SlowedRun slow_down(const Runnable& run, double part, const std::function<void(int64_t)>& work,
                    const Conduct& conduct) {
  const double model = fastest_ns(run, kCalibrationNs, conduct);
  const double wanted = std::max(1.0, part * model);
  const auto time_of = [&](int64_t units) {
    return fastest_ns([&](size_t) { work(units); }, kCalibrationNs / 10, conduct);
  };
  // First how much a long piece costs, then what the wanted amount really takes.
  constexpr int64_t kTrial = 20'000;
  const double each = time_of(kTrial) / static_cast<double>(kTrial);
  int64_t units = std::max<int64_t>(1, std::llround(wanted / each));
  const double taken = time_of(units);
  units = std::max<int64_t>(1, std::llround(static_cast<double>(units) * wanted / taken));
  SlowedRun slowed;
  slowed.added = time_of(units) / model;
  slowed.run = [run, work, units](size_t iteration) {
    run(iteration);
    work(units);
  };
  return slowed;
}

SelfCheckRatios measure_self_check(const Runnable& model, const Runnable& again,
                                   const SelfCheckOptions& options, const Conduct& conduct) {
  const ComparisonOptions half = halved(options.comparison);
  SelfCheckRatios result;
  result.itself = measure_pairs(model, again, half, conduct);
  const SlowedRun slowed = slow_down(again, options.injected, options.burn, conduct);
  result.injected = slowed.added;
  result.slowed = measure_pairs(model, slowed.run, half, conduct);
  return result;
}

SelfCheck judge_self_check(Comparison itself, Comparison slowed, double injected) {
  using Verdict = ComparisonVerdict;
  SelfCheck check;
  check.itself = std::move(itself);
  check.slowed = std::move(slowed);
  check.injected = injected;
  const Verdict seen = check.itself.verdict;
  const Verdict missed = check.slowed.verdict;
  if (seen == Verdict::kRegressed || seen == Verdict::kImproved || missed == Verdict::kPass ||
      missed == Verdict::kImproved) {
    check.verdict = SelfCheckVerdict::kFail;
  } else if (seen == Verdict::kPass && missed == Verdict::kRegressed) {
    check.verdict = SelfCheckVerdict::kPass;
  }
  if (check.slowed.interval && check.itself.interval) {
    const auto resolved = [](const Comparison& c) {
      return c.effective_tolerance + (c.interval->high - c.interval->low) / 2;
    };
    check.resolvable = std::max(resolved(check.itself), resolved(check.slowed));
  }
  if (check.verdict != SelfCheckVerdict::kPass) check.note = note_on(check);
  return check;
}

SelfCheck self_check_processes(
    const std::function<std::optional<SelfCheckRatios>(const ProcessPlan&)>& measure,
    const SelfCheckOptions& options, const Conduct& conduct) {
  std::vector<ProcessRatios> slowed;
  std::vector<ProcessRatios> itself;
  std::vector<double> injected;
  const auto one = [&](const ProcessPlan& plan) -> std::optional<ProcessRatios> {
    auto measured = measure(plan);
    if (!measured) return std::nullopt;
    itself.push_back(std::move(measured->itself));
    injected.push_back(measured->injected);
    return std::move(measured->slowed);
  };
  // The looks are spent on the slowed model, which needs the more pairs for its verdict; the model
  // against itself is judged once, by all of them.
  Comparison found = compare_processes(one, options.comparison, conduct);
  Comparison same = merge_comparison(itself, options.comparison);
  same.looks = same.ratio ? 1 : 0;
  same.stop_reason = found.stop_reason;
  return judge_self_check(std::move(same), std::move(found),
                          injected.empty() ? options.injected : median(injected));
}

}  // namespace lathe
