// The commands that the front end runs itself.
#pragma once

#include "console.h"
#include "options.h"

namespace lathe {

int run_inspect(const InspectOptions& options, Console& console);
int run_batch(const BatchOptions& options, Console& console);
int run_zoo(const ZooOptions& options, Console& console);
int run_trace(const TraceOptionsCli& options, Console& console);
int run_profiles(const ProfilesOptions& options, Console& console);

}  // namespace lathe
