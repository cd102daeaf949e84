// The one table of what lathe compiles to, and of the formats of model files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// Formats of model files, as reports name them.
inline constexpr std::string_view kOnnxFormat = "onnx";
inline constexpr std::string_view kTorchScriptFormat = "torchscript";
inline constexpr std::string_view kNativeFormat = "native";
inline constexpr std::string_view kC99Format = "c99";
inline constexpr std::string_view kTfliteFormat = "tflite";

enum class TargetKind : uint8_t { kOnnx, kTorchScript, kTorchScriptMobile, kNative, kC99, kTflite };

struct Target {
  TargetKind kind;
  std::string_view name;    // of --target
  std::string_view format;  // of the file that it writes
  std::string_view reader;  // what loads that file
  /// Of that file's name: the first one is suggested, no other target has any of them.
  std::span<const std::string_view> extensions;
};

/// The default first.
std::span<const Target> targets();
const Target& target_of(TargetKind kind);
std::vector<std::string> target_names();
/// Throws Error (exit 2) with the nearest name.
const Target& find_target(std::string_view name);

/// The target that the extension of a file's name belongs to; nullptr: none.
const Target* target_of_file(std::string_view file);
/// The name says what a file is to those who get it. Throws Error (exit 2) for the extension of
/// another target than the one that is written.
void check_output_name(const std::string& output, const Target& target);

}  // namespace lathe
