// Pressure stall information of the kernel (Documentation/accounting/psi.rst).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lathe {

/// Microseconds since boot in which some runnable task waited for a CPU; nullopt where the kernel
/// does not tell. To be subtracted from each other. Reads below `root`, as host_facts.
std::optional<int64_t> cpu_pressure_us(const std::string& root = {});

}  // namespace lathe
