// The number of threads of a command.
#pragma once

#include <string>

#include "console.h"
#include "options.h"

namespace lathe {

/// --threads, or the usable CPUs; also given to the numeric libraries. From here on denormal
/// numbers are zeros in all threads of the command, as they are in lathe's native engine: trained
/// weights have many, and some processors multiply by them fifty times slower. Throws Error (exit
/// 8) when the memory limit does not hold the threads' stacks.
int use_threads(const CommonOptions& common);

/// A warning, called `id`, where there are fewer usable CPUs.
void warn_of_crowding(const std::string& id, int threads, Console& console);

}  // namespace lathe
