// Proof that a compiled graph computes what the original does.
#pragma once

#include <optional>
#include <string>

#include "console.h"
#include "options.h"
#include "run/compare.h"

namespace lathe {

struct Verification {
  CompareResult result;
  double tolerance = 0;
  /// Empty when every output of every sample is within the tolerance.
  std::string failure;
};

/// Largest max|a-b|/max|a| that --tolerance or, by default, the graph's precision allows: 1e-4 for
/// float32 (re-association), 5e-3 with float16, 2e-2 where values are quantized (one step).
double verification_tolerance(const CompileOptions& options, const Graph& graph);

/// Runs both on --verify's data, or on seeded inputs: zeros, large values, and random ones, batch 2
/// too where the batch is free. Inputs that the original itself refuses are left out; throws Error
/// (exit 3) when none is left.
Verification verify_compiled(const CompileOptions& options, const Graph& original,
                             const Graph& compiled, int threads, Console& console);

}  // namespace lathe
