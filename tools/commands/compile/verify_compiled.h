// Proof that a compiled graph computes what the original does.
#pragma once

#include <optional>
#include <string>

#include "console.h"
#include "heavy/compile_target.h"
#include "options.h"
#include "run/compare.h"
#include "verify/verification_bound.h"

namespace lathe {

struct Verification {
  CompareResult result;
  VerificationBound bound;
  std::optional<VerificationBound> artifact_bound;  // where the artifact was run
  /// Empty when every output of every sample is within the bound, or within what rounding changes.
  std::string failure;
  /// What rounding alone leaves of the outputs that are not within the bound; the lowest.
  std::optional<double> rounding_sqnr_db;
  /// Samples that say nothing: rounding alone changes what a float network gives for them.
  size_t left_out = 0;
};

/// Runs both on `source` (commands/compile/verification_inputs.h) and judges the outputs by
/// verification_bound(). An artifact that can be executed is compared with `compiled`, the graph
/// that it was made of, on the same inputs. `arithmetic`: a pass has changed the order of sums.
Verification verify_compiled(const CompileOptions& options, const Model& original,
                             const Model& compiled, const CompiledArtifact& artifact,
                             const SampleSource& source, bool arithmetic, int threads,
                             Console& console);

}  // namespace lathe
