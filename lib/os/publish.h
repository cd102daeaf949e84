// Atomic publishing: a reader sees the old file or the complete new one, also after a crash.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// A file on its way to `path`: a temporary beside it, removed unless it is published, also when a
/// signal ends the process. The mode follows the umask. A symbolic link at `path` is replaced, not
/// followed. All errors are Error with exit 9 and name `path`.
class StagedFile {
 public:
  explicit StagedFile(std::string path);
  ~StagedFile();
  StagedFile(StagedFile&& other) noexcept;
  StagedFile& operator=(StagedFile&& other) noexcept;

  const std::string& path() const { return path_; }
  /// Name and descriptor of the temporary, for a library that writes by itself.
  const std::string& temporary() const { return temporary_; }
  int descriptor() const { return descriptor_; }

  /// Appends; short and interrupted writes are continued.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Flushes to the disk and closes. Nothing can be written afterwards.
  void finish();

 private:
  friend void publish(std::vector<StagedFile> files, bool replace);
  void rename_into_place(bool replace);
  void discard() noexcept;

  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
  int slot_ = -1;
};

/// Finishes all files, then renames them in the given order (data first, model last, report after
/// the model) and flushes their directories. Unless `replace`, a file that has appeared meanwhile
/// is an Error with exit 2. When a rename fails, files of this call that did not exist before are
/// removed again. Signals cannot end the process between the renames.
void publish(std::vector<StagedFile> files, bool replace);

/// One file with the given content.
void publish_file(const std::string& path, std::string_view content, bool replace);

}  // namespace lathe
