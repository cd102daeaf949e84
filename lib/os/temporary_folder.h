// A folder for what other programs are to read and write.
#pragma once

#include <filesystem>
#include <string>

namespace lathe {

/// Gone with this object and all that is in it; of what an interrupted process leaves, the files
/// that were written here are unlinked.
class TemporaryFolder {
 public:
  /// Throws Error (exit 6) where none can be made.
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path() const { return path_.string(); }
  std::string path(const std::string& name) const { return (path_ / name).string(); }
  /// A new file, or in place of one; its path. Throws Error (exit 9).
  std::string write(const std::string& name, std::string_view content) const;

 private:
  std::filesystem::path path_;
};

/// Where a shell would find this program; empty: nowhere.
std::string find_program(std::string_view name);

}  // namespace lathe
