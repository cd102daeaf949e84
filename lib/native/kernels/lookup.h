// uint8 to uint8 through a table of 256 entries: any function of a quantized number, exactly.
#pragma once

#include <cstdint>

namespace lathe {

/// `rows` rows of `width` neighbouring bytes. `to` may be `from` with the same pitch.
struct Lookup {
  const uint8_t* table = nullptr;  // 256 entries
  const uint8_t* from = nullptr;
  int64_t from_pitch = 0;  // bytes from row to row
  uint8_t* to = nullptr;
  int64_t to_pitch = 0;
  int64_t rows = 1;
  int64_t width = 0;
};

int64_t lookup_count(const Lookup& lookup);
void run_lookup(const Lookup& lookup, int64_t begin, int64_t end);

}  // namespace lathe
