// One exit code for a run in which several things happened.
#pragma once

#include <span>

#include "ir/error.h"

namespace lathe {

/// The code that wins: 1, 8, 9, 3, 6, 4, 5 in this order (DESIGN.md section 3). An interrupted run
/// (143, 130), a usage error (2) and a batch with failed items (7) come before the judgements 4 and
/// 5, which say nothing about a run that did not end. kDone for none.
ExitCode resolve_exit_code(std::span<const ExitCode> codes);

}  // namespace lathe
