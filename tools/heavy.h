// The commands that need LibTorch. liblathe.so is opened on first use: loading LibTorch costs a
// third of a second, which --help and inspect should not pay.
#pragma once

#include <string>

#include "console.h"
#include "options.h"

namespace lathe {

/// Runs quantize, prune, distill, compile, bench, run or compare. Throws Error (exit 6), as the
/// following does, when liblathe.so or what it needs cannot be loaded.
int run_heavy(const std::string& command, const Options& options, Console& console);

/// torchscript/child/read_in_child.h.
int run_torchscript_child(int argc, char** argv);

}  // namespace lathe

// What liblathe.so exports.
extern "C" int lathe_run_command(const std::string& command, const lathe::Options& options,
                                 lathe::Console& console);
