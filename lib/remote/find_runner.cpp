#include "remote/find_runner.h"

#include <filesystem>

#include "ir/error.h"

namespace lathe {

namespace fs = std::filesystem;

FindRunner runner_finder(std::string given) {
  return [given = std::move(given)](const std::string& arch) {
    if (!given.empty()) return given;
    const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
    const std::string name = "lathe-runner-" + arch;
    for (const fs::path& path : {here / name, here.parent_path() / "lib" / "lathe" / name,
                                 here.parent_path() / arch / "lathe-runner"})
      if (std::error_code ignored; fs::is_regular_file(path, ignored)) return path.string();
    throw bad_environment("remote.runner", "there is no lathe-runner for " + arch, name,
                          "build it (cmake --preset " + arch + "), or give --runner FILE");
  };
}

}  // namespace lathe
