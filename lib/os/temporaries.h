// The temporary files that this process must not leave behind. The list is static storage, because
// signal handlers read it: nothing in it allocates or locks.
#pragma once

#include <string>

namespace lathe {

/// Remembers `path` (absolute, or relative to a working directory that does not change) for
/// removal. Returns a slot for forget_temporary. Throws Error (exit 9) when the path is too long
/// or 64 are already remembered.
int remember_temporary(const std::string& path);

/// The file was renamed or removed.
void forget_temporary(int slot);

/// Unlinks every remembered file of this process (a forked child leaves its parent's alone).
/// Async-signal-safe; errno is kept.
void remove_temporaries();

}  // namespace lathe
