// What would make a model smaller: integers, a smaller picture, fewer channels, a smaller batch.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "profiles/fit.h"
#include "qdq/activation_buffers.h"

namespace lathe {

/// Items of one execution: what the first dimension of all inputs counts; 1 where they differ, or
/// one is free.
int64_t stated_batch(const Graph& graph);

/// What of a model becomes int8 by quantization for a profile.
struct BecomesInteger {
  std::set<ValueId> values;
  std::set<ValueId> weights;  // of the graph itself, not of bodies
};
/// By the ops that the profile computes in integers: products, what they read, and what follows
/// them. Empty where the model has integers already.
BecomesInteger becomes_integer(const Graph& graph, const PrecisionRules& rules);

/// The graph with the types of these values alone changed, to estimate by; it does not run.
Graph typed_as_integers(const Graph& graph, const BecomesInteger& integers);

struct FitLimits {
  std::optional<int64_t> flash_bytes;
  std::optional<int64_t> ram_bytes;
  int64_t run_time_flash = 0;
  int64_t run_time_ram = 0;
  int64_t alignment = 1;
};

/// Each change that applies to the model, alone, and the smallest set of them that fits. Inputs and
/// outputs keep their type and width. The sizes are those of the tensors, so estimates: pruned
/// networks have other shapes.
std::vector<FitChange> changes_that_help(const Graph& graph, const ActivationBuffers& buffers,
                                         const BecomesInteger& integers, const FitLimits& limits);

}  // namespace lathe
