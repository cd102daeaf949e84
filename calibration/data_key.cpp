#include "calibration/data_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "calibration/data_file.h"
#include "calibration/data_spec.h"
#include "calibration/image_folder.h"
#include "ir/error.h"
#include "os/sha256.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPieceBytes = uint64_t{64} << 10;
constexpr size_t kReadFiles = 256;  // of a folder

void add_piece(Sha256& hash, const DataFile& file, uint64_t begin, uint64_t end) {
  std::vector<std::byte> piece(end - begin);
  file.read(begin, piece);
  hash.update(piece);
}

void add_file(Sha256& hash, const std::string& path) {
  try {
    const DataFile file = DataFile::open(path);
    const uint64_t size = file.size();
    hash.update(fmt::format("file {}\n", size));
    const uint64_t head = std::min(size, kPieceBytes);
    add_piece(hash, file, 0, head);
    add_piece(hash, file, std::max(head, size - head), size);
  } catch (const Error&) {
    hash.update("unreadable\n");
  }
}

struct FolderFile {
  std::string name;  // relative to the folder
  uint64_t bytes = 0;
  bool operator<(const FolderFile& other) const { return name < other.name; }
};

std::vector<FolderFile> files_below(const fs::path& folder) {
  std::vector<FolderFile> files;
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, fs::directory_options::skip_permission_denied,
                                           error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    std::error_code ignored;
    if (entries->path().filename().string().starts_with('.') ||
        entries.depth() >= kMaxFolderDepth) {
      entries.disable_recursion_pending();
      continue;
    }
    if (!entries->is_regular_file(ignored)) continue;
    const uintmax_t bytes = entries->file_size(ignored);
    files.push_back({entries->path().lexically_relative(folder).string(), bytes});
    if (files.size() == kMaxImageFiles) break;
  }
  std::sort(files.begin(), files.end());
  return files;
}

void add_folder(Sha256& hash, const fs::path& folder) {
  const std::vector<FolderFile> files = files_below(folder);
  hash.update(fmt::format("folder {}\n", files.size()));
  for (const FolderFile& file : files) hash.update(fmt::format("{} {}\n", file.name, file.bytes));
  const size_t read = std::min(files.size(), kReadFiles);
  for (size_t i = 0; i < read; ++i)
    add_file(hash, (folder / files[i * files.size() / read].name).string());
}

void add_path(Sha256& hash, const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    add_folder(hash, path);
  else
    add_file(hash, path);
}

void add_spec(Sha256& hash, const std::string& path) {
  try {
    const DataSpec spec = load_data_spec(path);
    add_path(hash, spec.path);
    // Else the labels are an array or a column of the data.
    std::error_code ignored;
    if (!spec.labels.empty() && fs::is_regular_file(spec.labels, ignored))
      add_file(hash, spec.labels);
  } catch (const Error&) {
    hash.update("no spec\n");
  }
}

}  // namespace

std::string data_key(const std::string& data, uint64_t seed) {
  Sha256 hash;
  if (data == "random") {
    hash.update(fmt::format("random {}\n", seed));
    return hash.hex();
  }
  add_path(hash, data);
  if (data.ends_with(".json")) add_spec(hash, data);
  return hash.hex();
}

}  // namespace lathe
