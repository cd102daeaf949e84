// The loops that the roofline probe times: nothing but multiply-adds in registers, nothing but
// loads. One function for each instruction set, chosen at run time, so that one binary measures
// whatever CPU it is on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace lathe {

struct ComputeKernel {
  std::string_view dtype;         // "float32", "bfloat16", "int8"
  std::string_view instruction;   // "vfmadd231ps zmm"
  int64_t operations_a_step = 0;  // a multiply-add is two
  void (*run)(int64_t steps) = nullptr;
};

/// Those that this CPU and its kernel execute; float32 and int8 are always among them, bfloat16
/// where the CPU multiplies such numbers. The first is float32.
std::vector<ComputeKernel> compute_kernels();

/// Reads `bytes` (a multiple of kReadGranule) from `data` (64-byte aligned) with the widest loads.
using ReadKernel = void (*)(const std::byte* data, size_t bytes);
constexpr size_t kReadGranule = 512;
ReadKernel read_kernel();

/// What every CPU executes; kernels.cpp picks from these and the processor's own.
std::vector<ComputeKernel> portable_compute_kernels();
void portable_read(const std::byte* data, size_t bytes);

#if defined(__x86_64__)
/// Only those that __builtin_cpu_supports allows; may be empty (nullptr).
std::vector<ComputeKernel> x86_compute_kernels();
/// Also asks Linux for the tiles' registers, for the whole process.
std::vector<ComputeKernel> amx_compute_kernels();
ReadKernel x86_read_kernel();
#elif defined(__aarch64__)
/// Those that Linux names in the auxiliary vector.
std::vector<ComputeKernel> arm_compute_kernels();
#endif

}  // namespace lathe
