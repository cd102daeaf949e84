// uint8 to float32 through a table of 256 entries: any function of a quantized number, exactly.
#pragma once

#include <cstdint>
#include <memory>

namespace lathe {

struct FloatTable {
  alignas(64) float entries[256] = {};
  alignas(64) uint8_t planes[4][256] = {};  // byte 0 to 3 of each entry
};

/// `entries`: 256 of them.
std::shared_ptr<const FloatTable> make_float_table(const float* entries);

/// to[i] = table.entries[from[i]], bit by bit.
void look_up_floats(const FloatTable& table, const uint8_t* from, float* to, int64_t count);

}  // namespace lathe
