#include "os/temporary_folder.h"

#include <unistd.h>

#include <cstdlib>

#include "ir/error.h"
#include "os/publish.h"

namespace lathe {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "lathe-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr)
    throw bad_environment("os.temporary", "no folder for temporary files can be made", name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string TemporaryFolder::write(const std::string& name, std::string_view content) const {
  publish_file(path(name), content, true);
  return path(name);
}

std::string find_program(std::string_view name) {
  const char* path = std::getenv("PATH");
  const std::string folders = path == nullptr ? "" : path;
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string file = folders.substr(begin, end - begin) + "/" + std::string(name);
    if (end > begin && access(file.c_str(), X_OK) == 0) return file;
    begin = end + 1;
  }
  return {};
}

}  // namespace lathe
