// Which nodes a network needs in float32, measured.
#pragma once

#include <functional>
#include <string>

#include "float16/convert_float16.h"
#include "run/sample_runner.h"
#include "verify/verification_bound.h"

namespace lathe {

/// Threads, progress and interruption of a run over samples: what it is called, and how many.
using SampleRun = std::function<SampleRunOptions(const std::string& label, size_t count)>;

struct Float16Search {
  Float16Plan plan;
  /// Largest strain() of an output by rules and ranges alone, and with what the search kept.
  double strain_before = 0;
  double strain_after = 0;
  int rounds = 0;  // conversions tried after the first
};

/// Starts from the rules of plan_float16(). Kept besides, each with its reason:
/// - nodes that read or make values beyond 2^14 (a factor of 4 from overflow, for data not seen
///   here), or only values below 2^-14, where float16 has no 11 bits left;
/// - where an output then still uses more than 70 % of the bound: nodes by how much their rounding
///   alone moves the outputs, for each weight that float16 would halve. The converted nodes are
///   measured in 24 parts of neighbours (which share their Casts); bisection finds how many of the
///   worst have to stay.
/// Where the samples are data (`is_data`), not seeded inputs, the measured ranges replace the rules
/// of what may be too large.
/// Where the bound would leave no node in float16, the plan is that of the rules: it misses the
/// bound, and verification says so. All on at most 16 samples; sensitivity on 2. `graph`: float32,
/// optimized, types inferred.
/// `excluded` stay whatever is measured.
Float16Search search_float16(const Graph& graph, const SampleSource& samples, bool is_data,
                             const VerificationBound& bound, const SampleRun& run,
                             const KeptNodes& excluded = {});

}  // namespace lathe
