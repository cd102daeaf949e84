// Proof that a freed batch keeps its items apart.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "batch/make_batch_dynamic.h"
#include "run/interpreter.h"
#include "verify/verification_bound.h"

namespace lathe {

/// Where the batch is, by position among a graph's inputs and outputs; -1: the value has none.
struct BatchPositions {
  std::vector<int64_t> inputs;
  std::vector<int64_t> outputs;
  int64_t batch = 1;  // the original's
};

/// `graph` is the one that the plan was made for.
BatchPositions batch_positions(const Graph& graph, const BatchPlan& plan);

/// Runs three batches alone through the original and at once through the freed graph, on seeded
/// inputs. Empty when every output is within the bound, else what differs.
std::string verify_batch(const Interpreter& original, const Interpreter& freed,
                         const BatchPositions& positions, uint64_t seed,
                         const VerificationBound& bound);

}  // namespace lathe
