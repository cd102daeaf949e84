#include "train/checkpoint_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "ir/error.h"

namespace lathe {
namespace {

// Who wrote it; only for the message, so a file that says nothing is fine.
std::string holder(int descriptor) {
  std::array<char, 300> text{};
  const ssize_t count = ::pread(descriptor, text.data(), text.size(), 0);
  const std::string_view line(text.data(), count > 0 ? static_cast<size_t>(count) : 0);
  return escape_untrusted(line.substr(0, line.find('\n')));
}

void write_holder(int descriptor) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const std::string line = fmt::format("process {} on {}\n", ::getpid(), host.data());
  // A full disk does not make the lock less of a lock.
  if (::ftruncate(descriptor, 0) != 0) return;
  [[maybe_unused]] const ssize_t written = ::pwrite(descriptor, line.data(), line.size(), 0);
}

bool is_regular(int descriptor) {
  struct stat facts {};
  return ::fstat(descriptor, &facts) == 0 && S_ISREG(facts.st_mode);
}

}  // namespace

CheckpointLock::CheckpointLock(const std::string& folder) {
  const std::string path = folder + "/lock";
  const auto fail = [&](int problem) {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
    return bad_output("output.write",
                      fmt::format("the lock cannot be made: {}", std::strerror(problem)),
                      escape_untrusted(path), "name a folder that can be written to");
  };
  do {
    // Neither a FIFO nor somebody else's file behind a link.
    descriptor_ =
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) throw fail(errno);
  if (!is_regular(descriptor_)) throw fail(EEXIST);
  int result;
  do {
    result = ::flock(descriptor_, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) {
    held_ = true;
    write_holder(descriptor_);
    return;
  }
  if (errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return;
  if (errno != EWOULDBLOCK) throw fail(errno);
  const std::string other = holder(descriptor_);
  ::close(std::exchange(descriptor_, -1));
  throw bad_usage("train.folder_busy",
                  "another training uses this folder" + (other.empty() ? "" : ": " + other),
                  escape_untrusted(folder), "wait for it, or name another folder");
}

CheckpointLock::~CheckpointLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

CheckpointLock::CheckpointLock(CheckpointLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), held_(std::exchange(other.held_, false)) {}

}  // namespace lathe
