// The number of threads of a command.
#pragma once

#include <string>

#include "console.h"
#include "options.h"

namespace lathe {

/// --threads, or the usable CPUs; also given to the numeric libraries. Throws Error (exit 8) when
/// the memory limit does not hold their stacks.
int use_threads(const CommonOptions& common);

/// A warning, called `id`, where there are fewer usable CPUs.
void warn_of_crowding(const std::string& id, int threads, Console& console);

}  // namespace lathe
