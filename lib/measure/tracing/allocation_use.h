// What the engines' tensors take while a model runs. Beside it stand the planned arena
// (ir/memory_plan.h), resident memory and its high-water mark (os/host.h): four different numbers.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace lathe {

struct AllocationUse {
  int64_t peak_bytes = 0;  // most that was held at one time of what `run` allocated
  int64_t allocations = 0;
};

/// How allocation_use knows, for reports.
constexpr std::string_view kAllocationMethod =
    "LibTorch's CPU allocator during one inference: tensors made by the calling thread, without "
    "scratch memory of kernels";

/// Runs `run` once, which is to have run before (what it frees that was allocated earlier would be
/// unknown to the allocator's bookkeeping), and counts what LibTorch's allocator gives the calling
/// thread. Slower than an unobserved run: not for timing. Exceptions pass through.
AllocationUse allocation_use(const std::function<void()>& run);

}  // namespace lathe
