// --structure element, 2:4 and block-1x4: zeros inside weights whose shapes stay.
#pragma once

#include "commands/prune/prune_run.h"

namespace lathe {

/// Masks, makes up by biases, fine-tunes; with --dry-run plans only (the graph is then the dense
/// one). Throws Error (exit 3) when there is no weight to mask.
PruneOutcome prune_elements(const PruneContext& context);

}  // namespace lathe
