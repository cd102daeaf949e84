// A TorchScript module, frozen and inlined, as plain data. Runs in the isolated child.
#pragma once

#include <torch/script.h>

#include "torchscript/read/module_description.h"

namespace lathe {

/// Freezes (what the code writes stays an attribute), inlines, and describes `forward`. `module` is
/// changed. Throws Error (exit 3, ids "torchscript.…") for what the description cannot hold.
TorchModule describe_module(torch::jit::Module module);

}  // namespace lathe
