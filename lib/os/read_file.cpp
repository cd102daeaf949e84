#include "os/read_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace lathe {
namespace {

Error file_error(ExitCode code, std::string id, std::string message, const std::string& path,
                 std::string hint = {}) {
  return Error(code, std::move(id), {std::move(message), escape_untrusted(path), std::move(hint)});
}

const char* file_kind(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

InputFile::InputFile(const std::string& path, ExitCode code) : path_(path) {
  if (path.find('\0') != std::string::npos)
    throw file_error(code, "file.name", "the file name holds a NUL byte", path);
  do {
    // O_NONBLOCK: opening a FIFO without a writer would otherwise wait for ever.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) {
    const bool missing = errno == ENOENT || errno == ENOTDIR;
    const bool socket = errno == ENXIO;
    throw file_error(code, missing ? "file.missing" : "file.open",
                     missing  ? "no such file"
                     : socket ? "is not a regular file"
                              : fmt::format("cannot be opened: {}", std::strerror(errno)),
                     path, missing ? "check the path; it is read from the working directory" : "");
  }
  struct stat facts {};
  if (::fstat(descriptor_, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    ::close(descriptor_);
    throw file_error(code, "file.kind",
                     fmt::format("is {}, not a regular file", file_kind(facts.st_mode)), path);
  }
  size_ = facts.st_size;
}

InputFile::~InputFile() { ::close(descriptor_); }

size_t InputFile::read(std::span<std::byte> buffer) {
  size_t filled = 0;
  while (filled < buffer.size()) {
    const size_t wanted = std::min<size_t>(buffer.size() - filled, size_t{1} << 30);
    const ssize_t count = ::read(descriptor_, buffer.data() + filled, wanted);
    if (count == 0) break;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      throw file_error(ExitCode::kBadInput, "file.read",
                       fmt::format("cannot be read: {}", std::strerror(errno)), path_);
    filled += static_cast<size_t>(count);
  }
  return filled;
}

std::string read_file(const std::string& path, int64_t max_bytes, ExitCode code) {
  InputFile file(path, code);
  const auto check = [&](int64_t size) {
    if (size > max_bytes)
      throw over_limit("file.size",
                       fmt::format("holds {} bytes; at most {} are read", size, max_bytes),
                       escape_untrusted(path));
  };
  check(file.size());
  // Pseudo-files say size 0: one byte more than the size shows whether there is more.
  std::string out(static_cast<size_t>(file.size()) + 1, '\0');
  size_t filled = 0;
  while (const size_t count = file.read(std::as_writable_bytes(std::span(out)).subspan(filled))) {
    filled += count;
    check(static_cast<int64_t>(filled));
    if (filled == out.size()) out.resize(out.size() + std::max<size_t>(out.size(), 4096));
  }
  out.resize(filled);
  return out;
}

}  // namespace lathe
