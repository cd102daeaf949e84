// lathe compile --target c99.
#pragma once

#include "heavy/compile_target.h"

namespace lathe {

/// Source and header; `run` calls what this machine's C compiler makes of them, where there is one.
/// Free batches become 1. Throws Error (exit 3) for other free dimensions and as emit_c99 does.
CompiledArtifact emit_c(const Model& model, const Profile& profile, const CompileOptions& options,
                        Console& console);

}  // namespace lathe
