// --structure channel and unit: what is chosen is removed for good.
#pragma once

#include "commands/prune/prune_run.h"

namespace lathe {

/// Plans, removes, repairs and fine-tunes; with --dry-run plans only (the graph is then the dense
/// one). Throws Error (exit 3) that names what is in the way when no group can be pruned, (exit 4)
/// when the budget or the drop cannot be reached.
PruneOutcome prune_channels(const PruneContext& context);

}  // namespace lathe
