// Processors that C code can be made for alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// Which of Arm's instructions the kernels may use with GCC and clang; none of them: plain C.
struct CodeCore {
  std::string_view name;
  bool has_dsp = false;  // products by pairs
  bool has_mve = false;  // the vector unit
};

/// For all of them: what suits is chosen when the source is compiled.
inline constexpr std::string_view kAnyCore = "any";
inline constexpr CodeCore kCodeCores[] = {{kAnyCore}, {"generic"},         {"m0"},
                                          {"m4", true}, {"m55", true, true}, {"rv32"}};

inline std::vector<std::string> code_core_names() {
  std::vector<std::string> names;
  for (const CodeCore& core : kCodeCores) names.emplace_back(core.name);
  return names;
}

}  // namespace lathe
