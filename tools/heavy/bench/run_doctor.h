// lathe bench --doctor: can measurements on this machine be believed?
#pragma once

#include "console.h"
#include "options.h"

namespace lathe {

/// About five seconds. Exit 0 when the machine resolves --tolerance, else 5 (inconclusive); other
/// warnings do not change the code. Throws Error (exit 2) when models, data or gates are given.
int run_doctor(const BenchOptions& options, Console& console);

}  // namespace lathe
