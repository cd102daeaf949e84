// Reading of files that may be hostile: regular files only, bounded, never a hang on a FIFO.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ir/error.h"

namespace lathe {

/// A regular file open for reading. Opened first and checked on the descriptor, so that what was
/// checked is what is read. Throws Error with `code` when it is missing, unreadable, a directory,
/// FIFO, socket or device.
class InputFile {
 public:
  explicit InputFile(const std::string& path, ExitCode code = ExitCode::kBadInput);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  int descriptor() const { return descriptor_; }
  /// Size when it was opened.
  int64_t size() const { return size_; }
  /// Fills `buffer` as far as the file reaches; 0 at its end. Interrupted and short reads are
  /// continued. Throws Error (exit 3) on a read error.
  size_t read(std::span<std::byte> buffer);

 private:
  std::string path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

/// The whole file. More than `max_bytes`: exit 8, before anything is allocated. A file that grows
/// meanwhile is refused the same way.
std::string read_file(const std::string& path, int64_t max_bytes,
                      ExitCode code = ExitCode::kBadInput);

}  // namespace lathe
