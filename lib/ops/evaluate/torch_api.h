// Where the releases of LibTorch differ.
#pragma once

#include <ATen/autocast_mode.h>
#include <c10/core/Allocator.h>
#include <torch/csrc/api/include/torch/version.h>

namespace lathe {

/// What allocators report the totals of their memory as: signed in 1.13, unsigned in 2.x.
template <class Report>
struct TotalOfReport;
template <class Total>
struct TotalOfReport<void (c10::MemoryReportingInfoBase::*)(void*, int64_t, Total, Total,
                                                            c10::Device)> {
  using Type = Total;
};
using ReportedTotal =
    TotalOfReport<decltype(&c10::MemoryReportingInfoBase::reportMemoryUsage)>::Type;

/// Mixed precision on the CPU: whether it is on, and what products are rounded to.
struct CpuAutocast {
  bool enabled = false;
  at::ScalarType dtype = at::kBFloat16;
};

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)

inline CpuAutocast cpu_autocast() {
  return {at::autocast::is_autocast_enabled(at::kCPU), at::autocast::get_autocast_dtype(at::kCPU)};
}
inline void set_cpu_autocast(const CpuAutocast& state) {
  at::autocast::set_autocast_dtype(at::kCPU, state.dtype);
  at::autocast::set_autocast_enabled(at::kCPU, state.enabled);
}

#else

inline CpuAutocast cpu_autocast() {
  return {at::autocast::is_cpu_enabled(), at::autocast::get_autocast_cpu_dtype()};
}
inline void set_cpu_autocast(const CpuAutocast& state) {
  at::autocast::set_autocast_cpu_dtype(state.dtype);
  at::autocast::set_cpu_enabled(state.enabled);
}

#endif

/// Debian builds LibTorch without libuv, which later releases use for stores unless told not to.
template <class StoreOptions>
void leave_out_libuv(StoreOptions& options) {
  if constexpr (requires { options.useLibUV; }) options.useLibUV = false;
}

}  // namespace lathe
