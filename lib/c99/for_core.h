// Source for one processor: what the others' instructions need is left out.
#pragma once

#include <string>
#include <string_view>

#include "names/code_cores.h"

namespace lathe {

/// Of kCodeCores. Throws Error (exit 2).
const CodeCore& find_core(std::string_view name);

/// `source` without the branches that its preprocessor would leave out on `core`, and without asking.
/// `rounds_in_integers`: the vector unit's kernels, which round floats, do not count.
std::string for_core(const std::string& source, const CodeCore& core, bool rounds_in_integers);

}  // namespace lathe
