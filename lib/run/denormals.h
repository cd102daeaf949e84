// What the processor does with numbers too small for a normal exponent.
#pragma once

namespace lathe {

/// Denormal results and operands become zero (FTZ and DAZ) in the calling thread and in the worker
/// threads of ATen and OpenMP; threads that these start later take it over. OpenBLAS keeps its own.
/// To be called after set_thread_count. False when the processor cannot.
bool flush_denormals(bool flush);

}  // namespace lathe
