// Reading of data files that may be hostile: regular files only, never mapped, so that a file that
// shrinks while it is read is an error and not a signal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lathe {

/// Fills the span with the bytes at an offset, or throws Error. Safe to call from several threads.
using ReadBytes = std::function<void(uint64_t offset, std::span<std::byte> out)>;

/// An open regular file.
class DataFile {
 public:
  /// Throws Error (exit 3) when the path cannot be opened or is no regular file (a FIFO, a device
  /// and a directory are refused without waiting).
  static DataFile open(const std::string& path);
  /// A file below `folder`, named by a relative path from an untrusted list. Refuses absolute
  /// paths, `..`, backslashes and NUL; without `follow_links` also symbolic links on the way.
  static DataFile open_beneath(const std::string& folder, std::string_view relative,
                               bool follow_links);

  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }
  int descriptor() const;
  /// Throws Error (exit 3) beyond the end or on a read error.
  void read(uint64_t offset, std::span<std::byte> out) const;
  /// The whole file. Throws Error (exit 8) when it is larger than `max_bytes`.
  std::string read_all(uint64_t max_bytes) const;
  /// Keeps the file open as long as the function lives.
  ReadBytes reader() const;

 private:
  DataFile(int fd, std::string path);

  std::shared_ptr<const int> fd_;
  uint64_t size_ = 0;
  std::string path_;
};

/// The path as messages show it.
std::string shown_path(std::string_view path);

}  // namespace lathe
