// The memory limit of the process and what becomes of exceeding it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ir/error.h"

namespace lathe {

/// Bytes of private writable memory that the process has now; nullopt when /proc does not say.
std::optional<int64_t> private_memory_bytes();

/// --max-memory: limits private writable memory (heap, anonymous maps, stacks) through
/// RLIMIT_DATA. RLIMIT_AS is of no use here: mapped models, shared libraries and reserved arenas
/// count for it without using memory. Allocations over the limit then fail and are reported by
/// memory_error(). Throws Error: exit 8 when `bytes` is less than what is already used plus 16 MiB,
/// exit 2 when it is more than a limit that is already set.
void apply_memory_limit(int64_t bytes);

/// The limit in force, nullopt when there is none.
std::optional<int64_t> memory_limit();

/// What std::bad_alloc (or LibTorch's form of it) becomes: Error with exit 8 that names the limit.
Error memory_error(std::string where = {});

}  // namespace lathe
