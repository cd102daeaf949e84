// Offsets of buffers in one arena: buffers that are never alive together may share bytes.
// Greedy by size and, where that is not the least possible, by breadth: Pisarchyk and Lee,
// "Efficient Memory Management for Deep Neural Net Inference", arXiv 2001.03288, sections 5.2 and
// 5.3; then again with the buffer that reached highest placed first. The smallest arena is taken.
#pragma once

#include <cstdint>
#include <vector>

namespace lathe {

/// A buffer that is alive from `first_step` to `last_step`, both included.
struct BufferRequest {
  int64_t bytes = 0;
  int32_t first_step = 0;
  int32_t last_step = 0;
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // bytes from the start of the arena, one per request
  int64_t arena_bytes = 0;
  /// Most bytes (each buffer rounded up to the alignment) alive in any one step: no arena is
  /// smaller.
  int64_t lower_bound = 0;
};

/// The step in which most bytes are alive, each buffer rounded up to the alignment; the first of
/// several.
struct LivePeak {
  int64_t bytes = 0;
  int32_t step = 0;
};
LivePeak live_peak(const std::vector<BufferRequest>& requests, int64_t alignment);

/// More buffers than this are refused: planning takes time quadratic in their number.
constexpr int64_t kMaxPlannedBuffers = 65536;

/// `alignment` is a power of two; every offset is a multiple of it. The result depends on the
/// requests' order only to break ties. Throws Error (exit 8) for too many buffers or bytes.
MemoryPlan plan_memory(const std::vector<BufferRequest>& requests, int64_t alignment);

}  // namespace lathe
