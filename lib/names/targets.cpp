#include "names/targets.h"

#include <fmt/format.h>

#include "ir/error.h"
#include "report/nearest_name.h"

namespace lathe {
namespace {

constexpr std::string_view kOnnxExtensions[] = {".onnx"};
constexpr std::string_view kTorchScriptExtensions[] = {".pt", ".pth", ".jit"};
constexpr std::string_view kMobileExtensions[] = {".ptl"};
constexpr std::string_view kNativeExtensions[] = {".lathe"};
constexpr std::string_view kC99Extensions[] = {".c"};
constexpr std::string_view kTfliteExtensions[] = {".tflite"};

constexpr Target kTargets[] = {
    {TargetKind::kOnnx, "onnx", kOnnxFormat, "onnxruntime", kOnnxExtensions},
    {TargetKind::kTorchScript, "torchscript", kTorchScriptFormat, "libtorch",
     kTorchScriptExtensions},
    {TargetKind::kTorchScriptMobile, "torchscript-mobile", kTorchScriptFormat, "libtorch-mobile",
     kMobileExtensions},
    {TargetKind::kNative, "native", kNativeFormat, "lathe", kNativeExtensions},
    {TargetKind::kC99, "c99", kC99Format, "a C compiler", kC99Extensions},
    {TargetKind::kTflite, "tflite", kTfliteFormat, "litert", kTfliteExtensions},
};

// "" : no target's.
std::string_view extension_of(std::string_view file, const Target& target) {
  for (const std::string_view extension : target.extensions)
    if (file.ends_with(extension)) return extension;
  return {};
}

}  // namespace

std::span<const Target> targets() { return kTargets; }

const Target& target_of(TargetKind kind) { return kTargets[static_cast<size_t>(kind)]; }

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const Target& target : kTargets) names.emplace_back(target.name);
  return names;
}

const Target& find_target(std::string_view name) {
  for (const Target& target : kTargets)
    if (target.name == name) return target;
  throw bad_usage("usage.target", "there is no target '" + escape_untrusted(name) + "'", "--target",
                  name_hint(std::string(name), target_names()));
}

const Target* target_of_file(std::string_view file) {
  for (const Target& target : kTargets)
    if (!extension_of(file, target).empty()) return &target;
  return nullptr;
}

void check_output_name(const std::string& output, const Target& target) {
  const Target* named = target_of_file(output);
  if (named == nullptr || named->kind == target.kind) return;
  throw bad_usage("usage.target",
                  fmt::format("a name with {} is for --target {}, this is {}",
                              extension_of(output, *named), named->name, target.name),
                  "-o " + escape_untrusted(output),
                  fmt::format("lathe compile --target {} makes such a file; name this one OUT{}",
                              named->name, target.extensions.front()));
}

}  // namespace lathe
