// A regular file mapped read-only. A file that shrinks while it is mapped raises SIGBUS, which the
// tool turns into an error (signals.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include <sys/types.h>

namespace lathe {

struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileIdentity&) const = default;
};

struct MappedFile {
  /// Keeps the mapping alive; null for an empty file.
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
  FileIdentity identity;
  uint64_t links = 1;
};

/// Maps the file behind an open descriptor, which stays open. Throws Error (exit 3) that names
/// `where` for anything but a regular file.
MappedFile map_file(int descriptor, std::string_view where);

/// Opens without waiting (a FIFO does not block) and maps. Throws Error (exit 3).
MappedFile map_file(const std::filesystem::path& path);

/// Takes the pages of a part of a mapped file, whole pages of it, out of this process; they come
/// back when they are read. Not for memory that is no file's.
void drop_pages(std::span<const std::byte> mapped);

}  // namespace lathe
