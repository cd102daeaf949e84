// What would make a model smaller: integers, a smaller picture, fewer channels, a smaller batch.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "profiles/fit.h"
#include "qdq/activation_buffers.h"

namespace lathe {

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
                                         const FitLimits& limits);

}  // namespace lathe
