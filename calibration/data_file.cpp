#include "calibration/data_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "ir/error.h"

namespace lathe {
namespace {

Error cannot_open(const std::string& path, int error) {
  const bool link = error == ELOOP;
  const bool missing = error == ENOENT || error == ENOTDIR;
  return bad_input("data.open",
                   link ? "a symbolic link is not followed here"
                        : fmt::format("cannot open: {}", std::strerror(error)),
                   shown_path(path),
                   link      ? "--follow-links allows it"
                   : missing ? "check the path; in a data spec it starts at the spec's folder"
                             : "");
}

std::vector<std::string> safe_components(const std::string& folder, std::string_view relative) {
  auto refuse = [&](std::string_view why) {
    return bad_input("data.path", fmt::format("the path {} {}", escape_untrusted(relative), why),
                     shown_path(folder), "paths in a list are relative to the data's folder");
  };
  if (relative.empty()) throw refuse("is empty");
  if (relative.size() > 4096) throw refuse("is too long");
  if (relative.front() == '/') throw refuse("is absolute");
  if (relative.find("://") != std::string_view::npos) throw refuse("is a URL");
  if (relative.find('\\') != std::string_view::npos) throw refuse("contains a backslash");
  if (relative.find('\0') != std::string_view::npos) throw refuse("contains a NUL byte");
  std::vector<std::string> parts;
  for (size_t start = 0; start <= relative.size();) {
    const size_t end = std::min(relative.find('/', start), relative.size());
    const std::string_view part = relative.substr(start, end - start);
    if (part == "..") throw refuse("leaves the folder");
    if (!part.empty() && part != ".") parts.emplace_back(part);
    start = end + 1;
  }
  if (parts.empty()) throw refuse("names no file");
  return parts;
}

}  // namespace

std::string shown_path(std::string_view path) { return escape_untrusted(path, 300); }

DataFile::DataFile(int fd, std::string path) : path_(std::move(path)) {
  fd_ = std::shared_ptr<const int>(new int(fd), [](const int* held) {
    ::close(*held);
    delete held;
  });
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw cannot_open(path_, errno);
  if (!S_ISREG(status.st_mode))
    throw bad_input(
        "data.open",
        S_ISDIR(status.st_mode) ? "this is a folder, not a file" : "this is no regular file",
        shown_path(path_), "name a file of data; only pictures are read from a folder");
  size_ = static_cast<uint64_t>(status.st_size);
}

DataFile DataFile::open(const std::string& path) {
  if (path.find('\0') != std::string::npos) throw cannot_open(path, EINVAL);
  // O_NONBLOCK: a FIFO without a writer must not hang.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) throw cannot_open(path, errno);
  return DataFile(fd, path);
}

DataFile DataFile::open_beneath(const std::string& folder, std::string_view relative,
                                bool follow_links) {
  const std::vector<std::string> parts = safe_components(folder, relative);
  const std::string shown = folder + "/" + std::string(relative);
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (follow_links ? 0 : O_NOFOLLOW);
  int at = ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (at < 0) throw cannot_open(folder, errno);
  for (size_t i = 0; i < parts.size(); ++i) {
    const int next =
        ::openat(at, parts[i].c_str(), i + 1 < parts.size() ? flags | O_DIRECTORY : flags);
    const int error = errno;
    ::close(at);
    if (next < 0) throw cannot_open(shown, error);
    at = next;
  }
  return DataFile(at, shown);
}

int DataFile::descriptor() const { return *fd_; }

void DataFile::read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset)
    throw bad_input(
        "data.truncated",
        fmt::format("{} bytes are needed at offset {}, the file has {}", out.size(), offset, size_),
        shown_path(path_));
  for (size_t done = 0; done < out.size();) {
    const ssize_t got =
        ::pread(*fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw bad_input("data.read", fmt::format("cannot read: {}", std::strerror(errno)),
                      shown_path(path_));
    if (got == 0)
      throw bad_input("data.truncated", "the file became shorter while it was read",
                      shown_path(path_));
    done += static_cast<size_t>(got);
  }
}

std::string DataFile::read_all(uint64_t max_bytes) const {
  if (size_ > max_bytes)
    throw over_limit("data.file_size",
                     fmt::format("the file has {} bytes, the limit is {}", size_, max_bytes),
                     shown_path(path_));
  std::string text(static_cast<size_t>(size_), '\0');
  read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

ReadBytes DataFile::reader() const {
  return [file = *this](uint64_t offset, std::span<std::byte> out) { file.read(offset, out); };
}

}  // namespace lathe
