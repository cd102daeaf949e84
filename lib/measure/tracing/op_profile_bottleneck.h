// What holds a node back: the arithmetic, the memory, or neither (Williams, Waterman, Patterson,
// "Roofline", CACM 2009).
#pragma once

#include <optional>
#include <string_view>

#include "tracing/op_profile_cost.h"

namespace lathe {

/// Measured on this machine with as many threads as the model used; 0: not known.
struct MachinePeaks {
  double float_ops_per_s = 0;    // two per multiply-accumulate
  double integer_ops_per_s = 0;  // 8-bit
  double bytes_per_s = 0;        // streaming, read and write together
};

enum class Bottleneck {
  kCompute,   // the arithmetic alone would take much of the time
  kMemory,    // moving its bytes would
  kOverhead,  // neither would: dispatch, allocation, or a kernel far from what the machine can do
  kUnknown,
};

/// "compute", "memory", "overhead", "unknown": as in reports.
std::string_view bottleneck_name(Bottleneck bottleneck);

struct BottleneckFacts {
  Bottleneck bottleneck = Bottleneck::kUnknown;
  /// How long the machine would take at its peak; nullopt when the peak or the count is not known.
  std::optional<double> compute_ns;
  std::optional<double> memory_ns;
  /// The longer of both / the measured time: 1 is as good as the machine can. Above 1: the values
  /// came out of a cache.
  std::optional<double> efficiency;
  std::string_view reason;  // of kUnknown
};

/// Below this efficiency a node is held back by neither.
constexpr double kOverheadEfficiency = 0.1;

/// `median_ns` is one execution's time. Ops that do not multiply are held against the bandwidth
/// alone.
BottleneckFacts find_bottleneck(double median_ns, const OpCost& cost, const MachinePeaks& peaks);

}  // namespace lathe
