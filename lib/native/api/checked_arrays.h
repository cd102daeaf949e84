// What callers of the C API give for a plan's inputs and outputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "api/loaded_plan.h"

namespace lathe {

/// `rows` times the bytes of each port, at addresses that fit. `what`: "input" or "output". Throws
/// Error: exit 2 for null pointers, exit 3 for another number of arrays or bytes.
void check_arrays(const std::vector<LoadedPort>& ports, int64_t rows, const void* const* data,
                  const size_t* bytes, size_t count, std::string_view what);

}  // namespace lathe
