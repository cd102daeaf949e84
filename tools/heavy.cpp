#include "heavy.h"

#include <dlfcn.h>

#include "ir/error.h"
#include "os/limits.h"
#include "os/quantity.h"

namespace lathe {
namespace {

// LibTorch's own data, the stacks of its threads and room to work in.
constexpr int64_t kLeastBytes = int64_t{384} << 20;

template <class Run>
Run find(const char* symbol) {
  // LibTorch ends the process when it cannot allocate while it is loaded or starts a thread.
  const std::optional<int64_t> limit = memory_limit();
  if (limit && *limit < kLeastBytes)
    throw over_limit("limit.memory",
                     "LibTorch needs more memory than the limit of " + bytes_text(*limit), {},
                     "--max-memory " + bytes_text(kLeastBytes) + " is the least for this command");
  // Found through the executable's relative run path. Never closed: LibTorch does not unload.
  void* library = dlopen("liblathe.so", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr)
    throw bad_environment("environment.library",
                          std::string("liblathe.so cannot be loaded: ") + dlerror(), {},
                          "install LibTorch (libtorch1.13) and keep liblathe.so beside lathe");
  const auto run = reinterpret_cast<Run>(dlsym(library, symbol));
  if (run == nullptr)
    throw bad_environment("environment.library",
                          std::string("liblathe.so does not fit this lathe: ") + dlerror(), {},
                          "install both from the same package");
  return run;
}

}  // namespace

int run_heavy(const std::string& command, const Options& options, Console& console) {
  return find<decltype(&lathe_run_command)>("lathe_run_command")(command, options, console);
}

int run_torchscript_child(int argc, char** argv) {
  return find<int (*)(int, char**)>("lathe_torchscript_child")(argc, argv);
}

}  // namespace lathe
