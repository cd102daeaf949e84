#include "bench/gate_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "os/quantity.h"

namespace lathe {

std::string gate_value_text(const Gate& gate, double value) {
  switch (gate.unit) {
    case GateUnit::kNanoseconds: return gate.relative ? percent_text(value) : duration_text(value);
    case GateUnit::kPerSecond: return fmt::format("{:.4g}/s", value);
    case GateUnit::kTimes: return fmt::format("{:.3g}x", value);
    case GateUnit::kBytes: return bytes_text(std::llround(std::clamp(value, 0.0, 9e18)));
    case GateUnit::kFraction:
      if (is_decibel_gate(gate)) return fmt::format("{:.1f} dB", value);
      return percent_text(value);
  }
  throw InternalError("gate_value_text: unknown unit");
}

std::string speed_text(const Comparison& comparison) {
  if (!comparison.ratio || !comparison.interval) return "speed not compared";
  const double ratio = *comparison.ratio;
  const Interval& interval = *comparison.interval;
  const std::string speedup = fmt::format("CI {:.3g}–{:.3g}", 1 / interval.high, 1 / interval.low);
  switch (comparison.verdict) {
    case ComparisonVerdict::kImproved:
      return fmt::format("{:.3g}x faster ({})", 1 / ratio, speedup);
    case ComparisonVerdict::kRegressed:
      return fmt::format("{:.3g}x slower (CI {:.3g}–{:.3g})", ratio, interval.low, interval.high);
    case ComparisonVerdict::kPass:
      return fmt::format("{} ({:.3g}x, {})", ratio < 1 ? "at least as fast" : "as fast", 1 / ratio,
                         speedup);
    case ComparisonVerdict::kInconclusive:
      return fmt::format("speed inconclusive ({:.3g}x, {})", 1 / ratio, speedup);
  }
  throw InternalError("speed_text: unknown verdict");
}

std::string gates_text(std::span<const GateResult> results) {
  if (results.empty()) return {};
  const auto count = [results](GateVerdict verdict) {
    return std::count_if(results.begin(), results.end(),
                         [verdict](const GateResult& r) { return r.verdict == verdict; });
  };
  const auto failed = count(GateVerdict::kFail);
  const auto undecided = count(GateVerdict::kInconclusive);
  const char* noun = results.size() == 1 ? "gate" : "gates";
  if (failed > 0) return fmt::format("FAIL {}/{} {} missed", failed, results.size(), noun);
  if (undecided > 0)
    return fmt::format("INCONCLUSIVE {}/{} {} undecided", undecided, results.size(), noun);
  return fmt::format("PASS {}/{} {}", results.size(), results.size(), noun);
}

std::string change_text(double before, double after) {
  if (before == 0 || !std::isfinite(before) || !std::isfinite(after)) return "-";
  const double percent = 100 * (after / before - 1);
  const double shown = std::fabs(percent);
  if (shown < 0.05) return "±0 %";
  return fmt::format("{}{:.{}f} %", percent < 0 ? "−" : "+", shown, shown < 10 ? 1 : 0);
}

}  // namespace lathe
