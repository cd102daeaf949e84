// The metrics that gates may name.
#pragma once

#include <string_view>

#include "gates/gate.h"

namespace lathe {

struct GateMetric {
  std::string_view name;
  GateUnit unit;
  /// Judged by its interval; else by its value alone.
  bool sampled = false;
  /// The interleaved comparison measures its ratio.
  bool paired = false;
  /// The percentile, for those that need a number of samples; else 0.
  double p = 0;
  /// It is another number on another machine.
  bool of_machine = false;
  /// What cannot be measured everywhere (a sensor that a machine may lack, a model that does not run
  /// as it is deployed) or with all inputs: without a value nothing is decided.
  bool sensed = false;
  bool smaller_is_better = true;
};

/// nullptr when there is none of that name.
const GateMetric* find_gate_metric(std::string_view name);

}  // namespace lathe
