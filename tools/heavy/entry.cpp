// What liblathe.so exports. ATen's exceptions end here: the front end does not know them.
#include <c10/util/Exception.h>

#include <new>

#include "heavy.h"
#include "heavy/commands.h"
#include "run/foreign_errors.h"

namespace lathe {
namespace {

template <class Options>
int converted(int (*run)(const Options&, Console&), const Options& options, Console& console) {
  try {
    return run(options, console);
  } catch (const c10::Error&) {
    rethrow_foreign({});
  } catch (const std::bad_alloc&) {
    rethrow_foreign({});
  }
}

}  // namespace
}  // namespace lathe

int lathe_run_quantize(const lathe::QuantizeOptions& options, lathe::Console& console) {
  return lathe::converted(lathe::run_quantize, options, console);
}

int lathe_run_prune(const lathe::PruneOptions& options, lathe::Console& console) {
  return lathe::converted(lathe::run_prune, options, console);
}

int lathe_run_distill(const lathe::DistillOptions& options, lathe::Console& console) {
  return lathe::converted(lathe::run_distill, options, console);
}

int lathe_run_compile(const lathe::CompileOptions& options, lathe::Console& console) {
  return lathe::converted(lathe::run_compile, options, console);
}

int lathe_run_run(const lathe::RunOptionsCli& options, lathe::Console& console) {
  return lathe::converted(lathe::run_run, options, console);
}

int lathe_run_compare(const lathe::CompareOptionsCli& options, lathe::Console& console) {
  return lathe::converted(lathe::run_compare, options, console);
}

int lathe_run_bench(const lathe::BenchOptions& options, lathe::Console& console) {
  return lathe::converted(lathe::run_bench, options, console);
}
