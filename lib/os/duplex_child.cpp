#include "os/duplex_child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "ir/error.h"
#include "os/signals.h"

namespace lathe {
namespace {

constexpr int kPollMilliseconds = 50;
constexpr size_t kMostUnasked = size_t{1} << 20;  // bytes that come while others go
constexpr auto kGrace = std::chrono::seconds{5};

void close_descriptor(int& number) {
  if (number >= 0) ::close(std::exchange(number, -1));
}

double elapsed_seconds(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Writing to a child that has ended is an error code here, not a signal.
class WithoutPipeSignal {
 public:
  WithoutPipeSignal() {
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, &before_);
  }
  ~WithoutPipeSignal() {
    if (!::sigismember(&before_, SIGPIPE)) {
      sigset_t pipe;
      ::sigemptyset(&pipe);
      ::sigaddset(&pipe, SIGPIPE);
      const timespec now{};
      while (::sigtimedwait(&pipe, nullptr, &now) > 0) {
      }
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutPipeSignal(const WithoutPipeSignal&) = delete;
  WithoutPipeSignal& operator=(const WithoutPipeSignal&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

DuplexChild::DuplexChild(const std::vector<std::string>& argv) {
  const auto fail = [&](int error) {
    return bad_environment("child.start", "cannot be started: " + std::string(std::strerror(error)),
                           escape_untrusted(argv.front()));
  };
  std::array<int, 2> in{-1, -1};
  std::array<int, 2> out{-1, -1};
  errors_ = ::memfd_create("lathe-child", MFD_CLOEXEC);
  if (errors_ < 0 || ::pipe2(in.data(), O_CLOEXEC) != 0) throw fail(errno);
  if (::pipe2(out.data(), O_CLOEXEC) != 0) {
    const int error = errno;
    for (int& end : in) close_descriptor(end);
    throw fail(error);
  }
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, errors_, STDERR_FILENO);
  // A group of its own: what the terminal sends to lathe is lathe's to answer.
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error = ::posix_spawnp(&pid_, words[0], &actions, &attributes, words.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  close_descriptor(in[0]);
  close_descriptor(out[1]);
  input_ = in[1];
  output_ = out[0];
  if (error != 0) {
    close_descriptor(input_);
    close_descriptor(output_);
    close_descriptor(errors_);
    throw fail(error);
  }
  ::fcntl(input_, F_SETFL, O_NONBLOCK);
}

DuplexChild::~DuplexChild() {
  end_input();
  close_descriptor(output_);
  const auto until = std::chrono::steady_clock::now() + kGrace;
  while (pid_ > 0 && std::chrono::steady_clock::now() < until) {
    if (::waitpid(pid_, nullptr, WNOHANG) != 0)
      pid_ = -1;
    else
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  if (pid_ > 0) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  close_descriptor(errors_);
}

bool DuplexChild::write(std::string_view bytes, double seconds) {
  const WithoutPipeSignal quiet;
  auto last = std::chrono::steady_clock::now();
  while (!bytes.empty()) {
    const ssize_t count = ::write(input_, bytes.data(), bytes.size());
    if (count > 0) {
      bytes.remove_prefix(static_cast<size_t>(count));
      last = std::chrono::steady_clock::now();
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return false;
    throw_if_interrupted();
    if (seconds > 0 && elapsed_seconds(last) > seconds) return false;
    // A child that writes without reading would wait for us as we for it.
    pollfd ready[2] = {{input_, POLLOUT, 0}, {output_, POLLIN, 0}};
    ::poll(ready, 2, kPollMilliseconds);
    if ((ready[1].revents & POLLIN) != 0 && (read_.size() > kMostUnasked || !read_some()))
      return false;
  }
  return true;
}

void DuplexChild::end_input() { close_descriptor(input_); }

bool DuplexChild::read_some() {
  std::array<char, 65536> block;
  const ssize_t count = ::read(output_, block.data(), block.size());
  has_ended_ = count == 0;
  if (count > 0) read_.append(block.data(), static_cast<size_t>(count));
  return count > 0;
}

bool DuplexChild::fill(double seconds) {
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    pollfd ready{output_, POLLIN, 0};
    if (::poll(&ready, 1, kPollMilliseconds) > 0) {
      if (read_some()) return true;
      if (has_ended_ || errno != EINTR) return false;
    }
    throw_if_interrupted();
    if (seconds > 0 && elapsed_seconds(start) > seconds) return false;
  }
}

bool DuplexChild::read_line(std::string& line, double seconds, size_t most) {
  const auto start = std::chrono::steady_clock::now();
  size_t end = read_.find('\n');
  while (end == std::string::npos) {
    const size_t before = read_.size();
    const double left = seconds > 0 ? seconds - elapsed_seconds(start) : 0;
    if (before > most || left < 0 || !fill(left)) return false;
    end = read_.find('\n', before);
  }
  line = read_.substr(0, end);
  read_.erase(0, end + 1);
  return true;
}

bool DuplexChild::read(size_t count, double seconds, std::string& bytes) {
  while (read_.size() < count)
    if (!fill(seconds)) return false;
  bytes = read_.substr(0, count);
  read_.erase(0, count);
  return true;
}

int DuplexChild::wait() {
  int status = 0;
  pid_t got = 0;
  do got = ::waitpid(pid_, &status, 0);
  while (got < 0 && errno == EINTR);
  pid_ = -1;
  return got > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string DuplexChild::error_output() const {
  std::string text(size_t{64} << 10, '\0');
  const ssize_t count = ::pread(errors_, text.data(), text.size(), 0);
  text.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return text;
}

}  // namespace lathe
