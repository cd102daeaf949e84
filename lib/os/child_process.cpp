#include "os/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "ir/error.h"
#include "os/signals.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPollStep{50};
// A descendant that holds the pipes open may not keep us waiting.
constexpr std::chrono::milliseconds kDrainTime{200};

Error cannot_start(const std::string& program, std::string_view what, int error) {
  return bad_environment("child.start", fmt::format("{}: {}", what, std::strerror(error)),
                         escape_untrusted(program),
                         "the number of processes or open files may be limited (ulimit -a)");
}

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { close(); }
  void close() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }
  int number() const { return number_; }

 private:
  int number_;
};

struct Pipe {
  Descriptor reader;
  Descriptor writer;
};

Pipe make_pipe(const std::string& program) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw cannot_start(program, "no pipe", errno);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

Descriptor open_or_throw(const std::string& path, int flags) {
  Descriptor file(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0666));
  if (file.number() < 0)
    throw bad_output("child.output", fmt::format("cannot be opened: {}", std::strerror(errno)),
                     escape_untrusted(path));
  return file;
}

struct Limit {
  __rlimit_resource_t resource;
  rlim_t value;
};

std::vector<Limit> limit_rows(const ChildLimits& limits) {
  std::vector<Limit> rows{{RLIMIT_CORE, 0}};
  const auto add = [&](__rlimit_resource_t resource, const std::optional<int64_t>& value) {
    if (value) rows.push_back({resource, static_cast<rlim_t>(std::max<int64_t>(0, *value))});
  };
  add(RLIMIT_AS, limits.address_space_bytes);
  add(RLIMIT_DATA, limits.private_bytes);
  add(RLIMIT_CPU, limits.cpu_seconds);
  add(RLIMIT_FSIZE, limits.file_bytes);
  add(RLIMIT_NOFILE, limits.open_files);
  return rows;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// Everything that the child needs, made before the fork: between fork and exec only
// async-signal-safe calls are allowed.
struct Plan {
  std::vector<char*> argv;
  std::vector<char*> environment;
  const char* directory = nullptr;
  std::vector<std::pair<int, int>> descriptors;  // moved away from their targets already
  std::vector<Limit> limits;
  const std::function<int()>* body = nullptr;
  int failure = -1;  // where errno is written when exec fails
  pid_t parent = 0;
};

[[noreturn]] void become(const Plan& plan) {
  const auto fail = [&] {
    const int error = errno;
    [[maybe_unused]] const ssize_t written = ::write(plan.failure, &error, sizeof error);
    ::_exit(127);
  };
  ::setpgid(0, 0);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail();
  if (::getppid() != plan.parent) ::_exit(127);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // What other code of this process left open is not for the child. (Linux 5.11; older ones keep
  // what lacks O_CLOEXEC.)
  ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  for (const auto& [from, to] : plan.descriptors)
    if (::dup2(from, to) < 0) fail();
  if (plan.directory != nullptr && ::chdir(plan.directory) != 0) fail();
  for (const Limit& row : plan.limits) {
    const rlimit value{row.value, row.value};
    rlimit now{};
    // A limit that is already lower stays.
    if (::getrlimit(row.resource, &now) == 0 && now.rlim_max <= row.value &&
        now.rlim_cur <= row.value)
      continue;
    if (::setrlimit(row.resource, &value) != 0) fail();
  }
  if (plan.body != nullptr) {
    ::close(plan.failure);
    ::_exit((*plan.body)());
  }
  ::execve(plan.argv[0], plan.argv.data(), plan.environment.data());
  fail();
  ::_exit(127);
}

struct Started {
  pid_t pid = -1;
  Descriptor output;
  Descriptor error;
};

Started start(const ChildCommand& command) {
  if (command.argv.empty() && !command.body) throw InternalError("a child process needs a program");
  const std::string program = command.argv.empty() ? "a copy of lathe" : command.argv.front();
  Descriptor input, output_file, error_file;
  Pipe output = make_pipe(program), error = make_pipe(program), failure = make_pipe(program);
  if (command.input < 0) input = open_or_throw("/dev/null", O_RDONLY);
  constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND;
  if (!command.output_file.empty()) output_file = open_or_throw(command.output_file, kAppend);
  if (!command.error_file.empty()) error_file = open_or_throw(command.error_file, kAppend);

  std::vector<std::pair<int, int>> wanted{
      {command.input < 0 ? input.number() : command.input, STDIN_FILENO},
      {command.output_file.empty() ? output.writer.number() : output_file.number(), STDOUT_FILENO},
      {command.error_file.empty() ? error.writer.number() : error_file.number(), STDERR_FILENO}};
  wanted.insert(wanted.end(), command.descriptors.begin(), command.descriptors.end());
  int highest = STDERR_FILENO;
  for (const auto& [from, to] : wanted) highest = std::max(highest, to);
  // Copies above every target, so that no dup2 in the child overwrites a source.
  std::vector<Descriptor> copies;
  const auto above = [&](int number) {
    copies.emplace_back(::fcntl(number, F_DUPFD_CLOEXEC, highest + 1));
    if (copies.back().number() < 0) throw cannot_start(program, "a descriptor is missing", errno);
    return copies.back().number();
  };
  Plan plan;
  for (const auto& [from, to] : wanted) plan.descriptors.emplace_back(above(from), to);
  plan.failure = above(failure.writer.number());
  plan.argv = pointers(command.argv);
  if (command.body) plan.body = &command.body;
  if (command.environment) {
    plan.environment = pointers(*command.environment);
  } else {
    for (char** entry = environ; *entry != nullptr; ++entry) plan.environment.push_back(*entry);
    plan.environment.push_back(nullptr);
  }
  if (!command.working_directory.empty()) plan.directory = command.working_directory.c_str();
  plan.limits = limit_rows(command.limits);
  plan.parent = ::getpid();

  Started child;
  child.pid = ::fork();
  if (child.pid == 0) become(plan);
  if (child.pid < 0) throw cannot_start(program, "no process", errno);
  copies.clear();
  failure.writer.close();
  int why = 0;
  ssize_t got = 0;
  do got = ::read(failure.reader.number(), &why, sizeof why);
  while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof why)) {
    ::waitpid(child.pid, nullptr, 0);
    throw cannot_start(program, "cannot be started", why);
  }
  child.output = std::move(output.reader);
  child.error = std::move(error.reader);
  for (const Descriptor* end : {&child.output, &child.error})
    ::fcntl(end->number(), F_SETFL, O_NONBLOCK);
  return child;
}

// Takes what is there. Returns false at the end of the stream.
bool drain(int descriptor, std::string& text, size_t max_bytes, bool& exceeded) {
  std::array<char, 65536> block;
  for (;;) {
    const ssize_t got = ::read(descriptor, block.data(), block.size());
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    const size_t room = max_bytes - text.size();
    if (static_cast<size_t>(got) > room) exceeded = true;
    text.append(block.data(), std::min(room, static_cast<size_t>(got)));
    if (exceeded) return true;
  }
}

void stop_group(pid_t pid, int signal) {
  // The group may not exist yet or any more; the child itself does until it is waited for.
  ::kill(-pid, signal);
  ::kill(pid, signal);
}

double seconds_since(Clock::time_point from) {
  return std::chrono::duration<double>(Clock::now() - from).count();
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// Waits for the child, which is not reaped before its group is dead: until then its number cannot
// be given to another process.
class Watch {
 public:
  explicit Watch(pid_t pid) : pid_(pid) {}
  ~Watch() {
    if (pid_ < 0) return;
    stop_group(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  bool ended() const {
    siginfo_t info{};
    const int failed = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
    // Where SIGCHLD is ignored, the system has reaped it already.
    return failed == 0 ? info.si_pid == pid_ : errno == ECHILD;
  }
  void reap(ChildResult& result) {
    stop_group(pid_, SIGKILL);
    int status = 0;
    rusage usage{};
    pid_t got = 0;
    do got = ::wait4(pid_, &status, 0, &usage);
    while (got < 0 && errno == EINTR);
    pid_ = -1;
    if (got < 0) return;
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
    result.cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    result.max_resident_bytes = usage.ru_maxrss * 1024;
  }

 private:
  pid_t pid_;
};

}  // namespace

ChildResult run_child(const ChildCommand& command) {
  const Clock::time_point begin = Clock::now();
  Started child = start(command);
  Watch watch(child.pid);
  ChildResult result;
  std::optional<Clock::time_point> killed, ended, asked;
  bool output_open = true, error_open = true, error_full = false;
  while (output_open || error_open || !ended) {
    std::array<pollfd, 2> ready{{{output_open ? child.output.number() : -1, POLLIN, 0},
                                 {error_open ? child.error.number() : -1, POLLIN, 0}}};
    // Without open pipes nothing wakes the wait but its time.
    const auto step = output_open || error_open ? kPollStep : std::chrono::milliseconds{2};
    ::poll(ready.data(), ready.size(), static_cast<int>(step.count()));
    if (command.while_waiting && !ended) command.while_waiting();
    if (output_open && !result.output_exceeded)
      output_open = drain(child.output.number(), result.output, command.max_output_bytes,
                          result.output_exceeded);
    if (error_open) {
      error_open =
          drain(child.error.number(), result.error_output, command.max_error_bytes, error_full);
      error_full = false;
    }
    if (!ended && watch.ended()) ended = Clock::now();
    if (ended && Clock::now() - *ended > kDrainTime) break;
    if (ended || killed) {
      if (killed && result.output_exceeded) output_open = false;
      continue;
    }
    result.timed_out = command.seconds > 0 && seconds_since(begin) > command.seconds;
    const bool grace_over = asked && seconds_since(*asked) > command.interrupt_grace_seconds;
    if (interrupted() && !asked) {
      asked = Clock::now();
      // Once: a second signal would end lathe at once. The group may not exist yet.
      if (command.interrupt_grace_seconds > 0 && ::kill(-child.pid, SIGTERM) != 0)
        ::kill(child.pid, SIGTERM);
    }
    if (result.timed_out || result.output_exceeded || grace_over ||
        (asked && command.interrupt_grace_seconds <= 0)) {
      stop_group(child.pid, SIGKILL);
      killed = Clock::now();
    }
  }
  watch.reap(result);
  result.wall_seconds = seconds_since(begin);
  if (asked && !command.returns_when_interrupted) throw_if_interrupted();
  return result;
}

}  // namespace lathe
