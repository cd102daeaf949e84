// The other end of load_torchscript.h: what the child process does.
#pragma once

#include <cstdint>

namespace lathe {

struct ChildReadOptions {
  /// Address space beyond what LibTorch takes when it is loaded, and CPU seconds.
  int64_t memory_bytes = int64_t{4} << 30;
  int64_t cpu_seconds = 60;
};

/// Locks the process in (sandbox.h), loads the TorchScript archive behind `input`, writes the
/// description or the error to `output` (description_format.h). Returns the exit code of the
/// process: 0 when a message was written. To be called once, in a process that ends after it.
int describe_torchscript(int input, int output, const ChildReadOptions& options);

}  // namespace lathe

/// What liblathe.so exports for `lathe --torchscript-child MEMORY_BYTES CPU_SECONDS`: the archive
/// is standard input, the message goes to standard output; the file's own prints go nowhere.
extern "C" int lathe_torchscript_child(int argc, char** argv);
