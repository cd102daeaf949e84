// One number for all bytes of a picture.
#pragma once

#include <cstdint>
#include <vector>

namespace lathe {

inline uint64_t fnv1a(const std::vector<uint8_t>& bytes) {
  uint64_t hash = 1469598103934665603u;
  for (const uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211u;
  return hash;
}

}  // namespace lathe
