// The commands that need LibTorch. liblathe.so is opened on first use: loading LibTorch costs a
// third of a second, which --help and inspect should not pay.
#pragma once

#include "console.h"
#include "options.h"

namespace lathe {

class Heavy {
 public:
  /// Each throws Error (exit 6) when liblathe.so or what it needs cannot be loaded.
  int quantize(const QuantizeOptions& options, Console& console) const;
  int prune(const PruneOptions& options, Console& console) const;
  int distill(const DistillOptions& options, Console& console) const;
  int compile(const CompileOptions& options, Console& console) const;
  int run(const RunOptionsCli& options, Console& console) const;
  int compare(const CompareOptionsCli& options, Console& console) const;
  int bench(const BenchOptions& options, Console& console) const;
  /// torchscript/child/read_in_child.h.
  int torchscript_child(int argc, char** argv) const;
};

}  // namespace lathe

// What liblathe.so exports.
extern "C" {
int lathe_run_quantize(const lathe::QuantizeOptions& options, lathe::Console& console);
int lathe_run_prune(const lathe::PruneOptions& options, lathe::Console& console);
int lathe_run_distill(const lathe::DistillOptions& options, lathe::Console& console);
int lathe_run_compile(const lathe::CompileOptions& options, lathe::Console& console);
int lathe_run_run(const lathe::RunOptionsCli& options, lathe::Console& console);
int lathe_run_compare(const lathe::CompareOptionsCli& options, lathe::Console& console);
int lathe_run_bench(const lathe::BenchOptions& options, lathe::Console& console);
}
