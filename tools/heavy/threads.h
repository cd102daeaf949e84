// The number of threads of a command.
#pragma once

#include "options.h"

namespace lathe {

/// --threads, or the usable CPUs; also given to the numeric libraries.
int use_threads(const CommonOptions& common);

}  // namespace lathe
