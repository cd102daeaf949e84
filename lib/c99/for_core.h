// Source for one processor: what the others' instructions need is left out.
#pragma once

#include <string>
#include <string_view>

#include "c99/c99.h"
#include "names/code_cores.h"

namespace lathe {

/// Of kCodeCores. Throws Error (exit 2).
const CodeCore& find_core(std::string_view name);

/// `source` of emit_c99 without the branches that its preprocessor would leave out on `core`, and
/// without asking. With Rounding::kTflite the vector unit's kernels, which round floats, do not count.
std::string for_core(const std::string& source, const CodeCore& core, Rounding rounding);

}  // namespace lathe
