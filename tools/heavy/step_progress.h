// A progress line for work that says "7 of 30 done" and nothing else.
#pragma once

#include <functional>
#include <string>

#include "console.h"

namespace lathe {

/// Starts the line with the first call and ends it with the last. `console` outlives it.
std::function<void(size_t done, size_t all)> step_progress(Console& console, std::string label,
                                                           std::string unit);

}  // namespace lathe
