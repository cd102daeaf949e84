// What liblathe.so exports. ATen's exceptions end here: the front end does not know them.
#include <c10/util/Exception.h>

#include <new>

#include "heavy.h"
#include "heavy/commands.h"
#include "run/foreign_errors.h"

namespace lathe {
namespace {

int run_command(const std::string& command, const Options& options, Console& console) {
  if (command == "quantize") return run_quantize(options.quantize, console);
  if (command == "prune") return run_prune(options.prune, console);
  if (command == "distill") return run_distill(options.distill, console);
  if (command == "compile") return run_compile(options.compile, console);
  if (command == "bench") return run_bench(options.bench, console);
  if (command == "run") return run_run(options.run, console);
  if (command == "compare") return run_compare(options.compare, console);
  throw InternalError("no command is named " + command);
}

}  // namespace
}  // namespace lathe

int lathe_run_command(const std::string& command, const lathe::Options& options,
                      lathe::Console& console) {
  try {
    return lathe::run_command(command, options, console);
  } catch (const c10::Error&) {
    lathe::rethrow_foreign({});
  } catch (const std::bad_alloc&) {
    lathe::rethrow_foreign({});
  }
}
