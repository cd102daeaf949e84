// The metrics that gates may name.
#pragma once

#include <string_view>

#include "gates/gate.h"

namespace lathe {

struct GateMetric {
  std::string_view name;
  GateUnit unit;
  /// Judged by its interval; else by its value alone.
  bool sampled;
  /// The interleaved comparison measures its ratio.
  bool paired;
  /// The percentile, for those that need a number of samples; else 0.
  double p;
};

/// nullptr when there is none of that name.
const GateMetric* find_gate_metric(std::string_view name);

}  // namespace lathe
