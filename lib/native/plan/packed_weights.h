// Weights in the orders in which kernels read them: made once for all programs of a plan (of other
// batches, in other threads) and, where a plan file brings them, by an earlier process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

namespace lathe {

/// Which weights, in which order.
struct PackedKey {
  int64_t constant = 0;  // where the plain ones begin among the plan's constants
  int64_t part = 0;      // a group of them
  std::string layout;    // all else that decides about the bytes and their number
  auto operator<=>(const PackedKey&) const = default;
};

struct PackedArray {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> keeper;
};

/// Several threads may use one at the same time.
class PackedWeights {
 public:
  /// Cache lines are the alignment of all arrays.
  static constexpr size_t kAlignment = 64;

  /// `bytes` bytes that `pack` wrote, now or before. An array of another size (from a file that is
  /// not to be trusted) is made again. They live as long as the result's owner.
  std::shared_ptr<const std::byte[]> get(const PackedKey& key, size_t bytes,
                                         const std::function<void(std::byte*)>& pack);
  /// Brings an array that was packed before.
  void add(PackedKey key, PackedArray array);

  std::map<PackedKey, PackedArray> arrays() const;
  /// Bytes that get() had to pack.
  size_t packed_here() const;

 private:
  mutable std::mutex mutex_;
  std::map<PackedKey, PackedArray> arrays_;
  size_t packed_here_ = 0;
};

}  // namespace lathe
