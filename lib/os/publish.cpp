#include "os/publish.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "ir/error.h"
#include "os/check_output.h"
#include "os/signals.h"
#include "os/temporaries.h"

namespace lathe {
namespace {

Error write_error(std::string_view what, const std::string& path, int problem) {
  return bad_output("output.write", fmt::format("{}: {}", what, std::strerror(problem)),
                    escape_untrusted(path),
                    problem == ENOSPC || problem == EDQUOT ? "free some space on that disk" : "");
}

Error exists_error(const std::string& path) {
  return bad_usage("output.exists", "the output exists", escape_untrusted(path),
                   "choose another name, or --force to overwrite");
}

// The name does not repeat the output's, which may already have the greatest length.
std::string temporary_beside(const std::string& path) {
  uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random))
    random = static_cast<uint64_t>(::getpid());
  return fmt::format("{}/.lathe-{:016x}.tmp", directory_of(path), random);
}

int retry_fsync(int descriptor) {
  int result;
  do {
    result = ::fsync(descriptor);
  } while (result != 0 && errno == EINTR);
  return result;
}

void flush_directory(const std::string& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    // A directory that may be written but not read cannot be flushed.
    if (errno == EACCES) return;
    throw write_error("the directory cannot be opened", directory, errno);
  }
  const int problem = retry_fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // Some file systems do not flush directories.
  if (problem != 0 && problem != EINVAL && problem != ENOTSUP)
    throw write_error("the directory cannot be flushed", directory, problem);
}

// rename(2) that fails with EEXIST instead of replacing.
int rename_new(const char* from, const char* to) {
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  // The file system lacks it; a hard link refuses an existing name as well.
  if (::link(from, to) != 0) return -1;
  ::unlink(from);
  return 0;
}

bool exists(const std::string& path) {
  struct stat facts {};
  return ::lstat(path.c_str(), &facts) == 0;
}

}  // namespace

StagedFile::StagedFile(std::string path) : path_(std::move(path)) {
  for (int attempt = 0; descriptor_ < 0; ++attempt) {
    temporary_ = temporary_beside(path_);
    // Remembered first: a signal between the two steps must not leave the file behind.
    slot_ = remember_temporary(temporary_);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) return;
    const int problem = errno;
    forget_temporary(std::exchange(slot_, -1));
    if ((problem != EEXIST && problem != EINTR) || attempt == 100)
      throw write_error("cannot be created", path_, problem);
  }
}

StagedFile::~StagedFile() { discard(); }

StagedFile::StagedFile(StagedFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      slot_(std::exchange(other.slot_, -1)) {}

StagedFile& StagedFile::operator=(StagedFile&& other) noexcept {
  if (this == &other) return *this;
  discard();
  path_ = std::move(other.path_);
  temporary_ = std::move(other.temporary_);
  descriptor_ = std::exchange(other.descriptor_, -1);
  slot_ = std::exchange(other.slot_, -1);
  return *this;
}

void StagedFile::discard() noexcept {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  if (slot_ < 0) return;
  ::unlink(temporary_.c_str());
  forget_temporary(std::exchange(slot_, -1));
}

void StagedFile::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) throw InternalError("write to a finished StagedFile");
  while (!bytes.empty()) {
    const size_t wanted = std::min<size_t>(bytes.size(), size_t{1} << 30);
    const ssize_t count = ::write(descriptor_, bytes.data(), wanted);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw write_error("cannot be written", path_, errno);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void StagedFile::finish() {
  if (descriptor_ < 0) return;
  if (retry_fsync(descriptor_) != 0) throw write_error("cannot be flushed", path_, errno);
  // On Linux the descriptor is gone even when close was interrupted.
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR)
    throw write_error("cannot be closed", path_, errno);
}

void StagedFile::rename_into_place(bool replace) {
  const int result = replace ? ::rename(temporary_.c_str(), path_.c_str())
                             : rename_new(temporary_.c_str(), path_.c_str());
  if (result != 0) {
    if (errno == EEXIST) throw exists_error(path_);
    throw write_error("cannot be renamed into place", path_, errno);
  }
  forget_temporary(std::exchange(slot_, -1));
}

void publish(std::vector<StagedFile> files, bool replace) {
  for (StagedFile& file : files) file.finish();
  const HoldExit hold;
  std::vector<std::string> created;
  std::set<std::string> directories;
  try {
    for (StagedFile& file : files) {
      const bool existed = exists(file.path_);
      file.rename_into_place(replace);
      if (!existed) created.push_back(file.path_);
      directories.insert(directory_of(file.path_));
    }
  } catch (...) {
    for (const std::string& path : created) ::unlink(path.c_str());
    throw;
  }
  for (const std::string& directory : directories) flush_directory(directory);
}

void publish_file(const std::string& path, std::string_view content, bool replace) {
  std::vector<StagedFile> files;
  files.emplace_back(path).write(content);
  publish(std::move(files), replace);
}

}  // namespace lathe
