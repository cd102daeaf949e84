// The steps that compile takes with a graph, from its flags.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "commands/compile/verification_inputs.h"
#include "console.h"
#include "ir/graph.h"
#include "options.h"
#include "passes/pipeline.h"
#include "verify/verify_batch.h"

namespace lathe {

struct TransformFacts {
  std::optional<BatchPositions> batch;  // with --dynamic-batch
  /// Sections "dynamic_batch" and "float16", for report and manifest.
  nlohmann::json sections = nlohmann::json::object();
};

/// Frees the batch with --dynamic-batch, optimizes, halves the precision with --float16 and then
/// optimizes again, so that compiling the result changes nothing. What stays in float32 is measured
/// on `inputs`; without them (--verify off) it is decided by rule alone. Throws Error (exit 3)
/// naming the node that keeps the batch fixed.
TransformFacts transform_graph(Graph& graph, const CompileOptions& options,
                               const VerificationInputs* inputs, int threads, Console& console,
                               Pipeline& pipeline);

}  // namespace lathe
