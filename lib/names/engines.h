// The engines by the names of --engine and of reports.
#pragma once

#include <algorithm>
#include <iterator>
#include <string_view>

namespace lathe {

/// The command's own choice.
inline constexpr std::string_view kAutoEngine = "auto";
inline constexpr std::string_view kNativeEngine = "native";
inline constexpr std::string_view kTorchScriptEngine = "torchscript";
inline constexpr std::string_view kInterpreterEngine = "interpreter";

/// The processors (uname -m) that the native engine and its plans are for.
inline constexpr std::string_view kNativeArchs[] = {"x86_64", "aarch64"};
constexpr bool is_native_arch(std::string_view arch) {
  return std::ranges::find(kNativeArchs, arch) != std::end(kNativeArchs);
}

/// Generated C on an emulated board (emulation/boards.h), named after its processor.
inline constexpr std::string_view kEmulatedM0 = "qemu-m0";
inline constexpr std::string_view kEmulatedM4 = "qemu-m4";
inline constexpr std::string_view kEmulatedM7 = "qemu-m7";
inline constexpr std::string_view kEmulatedM55 = "qemu-m55";
inline constexpr std::string_view kEmulatedRv32 = "qemu-rv32";
/// Whether it counts instructions, instead of time.
constexpr bool is_emulated(std::string_view engine) { return engine.starts_with("qemu-"); }

/// What --engine takes, in the order in which it is shown.
inline constexpr std::string_view kEngineChoices[] = {
    kAutoEngine, kNativeEngine, kTorchScriptEngine, kInterpreterEngine, kEmulatedM0,
    kEmulatedM4, kEmulatedM7,   kEmulatedM55,       kEmulatedRv32};

}  // namespace lathe
