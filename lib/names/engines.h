// The engines by the names of --engine and of reports.
#pragma once

#include <string_view>

namespace lathe {

/// The command's own choice.
inline constexpr std::string_view kAutoEngine = "auto";
inline constexpr std::string_view kNativeEngine = "native";
inline constexpr std::string_view kTorchScriptEngine = "torchscript";
inline constexpr std::string_view kInterpreterEngine = "interpreter";

/// The processors (uname -m) that the native engine and its plans are for.
inline constexpr std::string_view kNativeArch = "x86_64";

/// What --engine takes, in the order in which it is shown.
inline constexpr std::string_view kEngineChoices[] = {kAutoEngine, kNativeEngine,
                                                      kTorchScriptEngine, kInterpreterEngine};

}  // namespace lathe
