// What the process that opens TorchScript files may still do: compute.
#pragma once

#include <cstdint>

namespace lathe {

/// Limits address space to what is used now plus `memory_bytes`, CPU time to `cpu_seconds`; no
/// files grow, no core dumps. Then system calls: memory, reading and writing of open descriptors,
/// time, thread synchronisation and exit are left; every other call (opening files, sockets, new
/// processes and threads, signals to others) fails with EACCES. Cannot be undone. Throws Error
/// (exit 6) when the system refuses.
void enter_sandbox(int64_t memory_bytes, int64_t cpu_seconds);

}  // namespace lathe
