// XXH64 with seed 0 (libxxhash): finds damage several times faster than a
// CRC of zlib. No protection against intent, which verify_plan is for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lathe {

uint64_t checksum(std::span<const std::byte> bytes);

}  // namespace lathe
