#include "plan/packed_weights.h"

#include <algorithm>
#include <new>
#include <utility>

namespace lathe {
namespace {

std::shared_ptr<std::byte[]> allocate(size_t bytes) {
  constexpr std::align_val_t kAlignment{PackedWeights::kAlignment};
  return {new (kAlignment) std::byte[std::max<size_t>(bytes, 1)],
          [](std::byte* made) { ::operator delete[](made, kAlignment); }};
}

}  // namespace

std::shared_ptr<const std::byte[]> PackedWeights::get(const PackedKey& key, size_t bytes,
                                                      const std::function<void(std::byte*)>& pack) {
  const std::lock_guard lock(mutex_);
  const auto found = arrays_.find(key);
  if (found == arrays_.end() || found->second.bytes.size() != bytes) {
    const std::shared_ptr<std::byte[]> made = allocate(bytes);
    pack(made.get());
    packed_here_ += bytes;
    arrays_.insert_or_assign(key, PackedArray{{made.get(), bytes}, made});
    return made;
  }
  const PackedArray& array = found->second;
  return {array.keeper, array.bytes.data()};
}

void PackedWeights::add(PackedKey key, PackedArray array) {
  const std::lock_guard lock(mutex_);
  arrays_.insert_or_assign(std::move(key), std::move(array));
}

std::map<PackedKey, PackedArray> PackedWeights::arrays() const {
  const std::lock_guard lock(mutex_);
  return arrays_;
}

size_t PackedWeights::packed_here() const {
  const std::lock_guard lock(mutex_);
  return packed_here_;
}

}  // namespace lathe
