// The commands that need LibTorch, as functions; entry.cpp exports them.
#pragma once

#include "console.h"
#include "options.h"

namespace lathe {

int run_quantize(const QuantizeOptions& options, Console& console);
int run_prune(const PruneOptions& options, Console& console);
int run_distill(const DistillOptions& options, Console& console);
int run_compile(const CompileOptions& options, Console& console);
int run_run(const RunOptionsCli& options, Console& console);
int run_compare(const CompareOptionsCli& options, Console& console);
int run_bench(const BenchOptions& options, Console& console);

}  // namespace lathe
