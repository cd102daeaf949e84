#include "onnx/read_options.h"

#include <fmt/format.h>

#include "ir/error.h"

namespace lathe {

void MemoryBudget::charge(int64_t bytes, std::string_view what) {
  if (bytes < 0 || bytes > left_)
    throw over_limit("model.memory",
                     fmt::format("{} would take too much memory for a file of this "
                                 "size",
                                 what),
                     {}, "raise --max-memory when the file can be trusted");
  left_ -= bytes;
}

MemoryBudget memory_budget(const ReadOptions& options, size_t file_bytes) {
  int64_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<int64_t>(file_bytes), options.memory_multiplier, &bytes) ||
      __builtin_add_overflow(bytes, options.memory_allowance, &bytes))
    bytes = INT64_MAX;
  return MemoryBudget(bytes);
}

}  // namespace lathe
