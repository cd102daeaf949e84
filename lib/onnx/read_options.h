// What a caller may ask of the ONNX reader, and the limits that a hostile file meets.
#pragma once

#include <cstdint>
#include <string_view>

namespace lathe {

struct ReadOptions {
  /// External data may be reached through symbolic links, also ones that leave the directory.
  bool follow_links = false;
  /// External data with more than one hard link is refused (`--limits strict`).
  bool refuse_hard_links = false;
  /// Subgraphs inside subgraphs. Values above 64 are not promised to work.
  int max_depth = 32;
  int max_function_depth = 100;
  int max_functions = 10'000;
  /// Memory that parsing and expanding may take: multiplier * file size + allowance.
  int64_t memory_multiplier = 4;
  int64_t memory_allowance = int64_t{512} << 20;
};

constexpr size_t kMaxNameBytes = 4096;
constexpr size_t kMaxDocBytes = size_t{1} << 20;

/// Memory that a file may still make us allocate beyond its own bytes.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t bytes) : left_(bytes) {}
  /// Throws Error (exit 8) that names `what` when less than `bytes` is left.
  void charge(int64_t bytes, std::string_view what);

 private:
  int64_t left_;
};

/// The budget for a file of `file_bytes`; saturates.
MemoryBudget memory_budget(const ReadOptions& options, size_t file_bytes);

}  // namespace lathe
