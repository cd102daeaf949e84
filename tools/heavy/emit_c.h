// lathe compile --target c99.
#pragma once

#include "c99/c99.h"
#include "heavy/compile_target.h"

namespace lathe {

/// What the flags say of the code. Throws Error (exit 2) for a size that is none.
C99Options c99_options(const CodeOptions& options);

/// Source and header; `run` calls what this machine's C compiler makes of them, where there is one.
/// Free batches become 1. Throws Error (exit 3) for other free dimensions and as emit_c99 does.
CompiledArtifact emit_c(const Model& model, const Profile& profile, const CompileOptions& options,
                        Console& console);

}  // namespace lathe
