// Packed weights in a plan file: a table and the arrays that it names, each on a cache line's
// border.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "plan/packed_weights.h"

namespace lathe {

struct PackedSection {
  std::string table;
  std::string bytes;
};

/// Equal sections for equal arrays.
PackedSection write_packed_section(const std::string& packing_key,
                                   const std::map<PackedKey, PackedArray>& arrays);

/// For files that may be hostile: every array lies within `bytes`, whatever is in it. `keeper` owns
/// these. Throws Error (exit 3, "plan.invalid").
std::map<PackedKey, PackedArray> read_packed_section(std::span<const std::byte> table,
                                                     std::span<const std::byte> bytes,
                                                     const std::shared_ptr<const void>& keeper,
                                                     std::string& packing_key);

}  // namespace lathe
