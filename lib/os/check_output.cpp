#include "os/check_output.h"

#include <fmt/format.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "ir/error.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

// Directory resolved, last component as written: what a rename to `path` would touch.
fs::path target_of(const std::string& path) {
  std::error_code problem;
  const fs::path directory = fs::canonical(directory_of(path), problem);
  return problem ? fs::path(path).lexically_normal() : directory / fs::path(path).filename();
}

void check_directory(const std::string& path, const std::string& shown) {
  const std::string directory = directory_of(path);
  struct stat facts {};
  if (::stat(directory.c_str(), &facts) != 0) {
    const bool missing = errno == ENOENT;
    const std::string what =
        missing ? "its directory does not exist"
                : fmt::format("its directory cannot be used: {}", std::strerror(errno));
    throw bad_output("output.directory", what, shown, missing ? "create the directory first" : "");
  }
  if (!S_ISDIR(facts.st_mode))
    throw bad_output("output.directory", "its parent is not a directory", shown);
  if (::access(directory.c_str(), W_OK | X_OK) != 0)
    throw bad_output("output.directory",
                     fmt::format("its directory is not writable: {}", std::strerror(errno)), shown);
}

}  // namespace

std::string directory_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

bool same_file(const std::string& a, const std::string& b) {
  struct stat first {
  }, second{};
  if (::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0)
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
  return target_of(a) == target_of(b);
}

void check_output(const std::string& path, bool force, const std::vector<std::string>& inputs) {
  const std::string shown = escape_untrusted(path);
  if (path.empty()) throw bad_usage("output.name", "the output path is empty");
  if (path.find('\0') != std::string::npos)
    throw bad_usage("output.name", "the output path holds a NUL byte", shown);
  if (path.size() >= PATH_MAX || fs::path(path).filename().string().size() > NAME_MAX)
    throw bad_output("output.name", "the file name is too long", shown);
  for (const std::string& input : inputs)
    if (same_file(path, input))
      throw bad_usage("output.is_input",
                      fmt::format("the output is the input {}", escape_untrusted(input)), shown,
                      "choose another output");
  struct stat facts {};
  if (path.back() == '/' || (::stat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode)))
    throw bad_output("output.kind", "the output is a directory", shown, "name a file in it");
  if (::lstat(path.c_str(), &facts) == 0) {
    if (!S_ISREG(facts.st_mode) && !S_ISLNK(facts.st_mode))
      throw bad_output("output.kind", "the output is a device, pipe or socket", shown,
                       "name a regular file");
    if (!force)
      throw bad_usage("output.exists", "the output exists", shown,
                      "choose another name, or --force to overwrite");
  }
  check_directory(path, shown);
}

void check_outputs(const std::vector<std::string>& paths, bool force,
                   const std::vector<std::string>& inputs) {
  for (size_t i = 0; i < paths.size(); ++i) {
    check_output(paths[i], force, inputs);
    for (size_t j = 0; j < i; ++j)
      if (same_file(paths[i], paths[j]))
        throw bad_usage("output.twice", "two outputs are the same file",
                        escape_untrusted(paths[i]));
  }
}

}  // namespace lathe
