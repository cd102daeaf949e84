// TorchScript archives (.pt, .ptl, .jit), which run code when LibTorch loads them: checked here,
// opened in a child process with limits, and described by it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "torchscript/read/module_description.h"

namespace lathe {

struct LoadTorchScriptOptions {
  /// Open files whose code does more than build tensors while it loads (`--trust`). Still in the
  /// child, still with its limits.
  bool trust = false;
  /// Address space that the child may add to LibTorch's own, and its CPU seconds.
  int64_t memory_bytes = int64_t{4} << 30;
  int64_t cpu_seconds = 60;
  /// The lathe executable, which is started as the child (`lathe --torchscript-child`).
  std::string program = "/proc/self/exe";
  /// Instead of starting `program`: what a forked copy of this process does with these arguments
  /// (lathe_torchscript_child). Only in a process that has LibTorch and no other threads; for tests
  /// that open thousands of files.
  std::function<int(const std::vector<std::string>&)> forked;
};

/// True when the file starts as a zip archive does; ONNX files never do.
bool is_torchscript_file(const std::filesystem::path& file);

/// Throws Error: exit 3 for what is no TorchScript archive (a state dictionary, an eager
/// checkpoint, a mobile file without a graph, a damaged archive, CRC mismatch: each is named), or
/// needs --trust; exit 8 when a limit stops the child; exit 6 when the child cannot be started;
/// exit 130 or 143 when this process is interrupted. Error ids start with "torchscript." or "zip.".
TorchModule load_torchscript(const std::filesystem::path& file,
                             const LoadTorchScriptOptions& options = {});

}  // namespace lathe
