// What Arm processors are called.
#pragma once

#include <string>
#include <string_view>

namespace lathe {

/// "Cortex-A76" for the fields "CPU implementer" and "CPU part" of /proc/cpuinfo ("0x41",
/// "0xd0b"); empty for others than Arm's own cores. Numbers as in the MIDR_EL1 of each core's
/// Technical Reference Manual.
std::string arm_core_name(std::string_view implementer, std::string_view part);

}  // namespace lathe
