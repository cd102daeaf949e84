// lathe compile --target tflite.
#pragma once

#include "heavy/compile_target.h"

namespace lathe {

/// The file; `run` executes what lathe reads from it. Free batches become 1. Throws Error (exit 3)
/// for other free dimensions and as write_tflite does.
CompiledArtifact emit_tflite(const Model& model, const Profile& profile);

}  // namespace lathe
