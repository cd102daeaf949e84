#include "run_lathe.h"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "forks/serve_forks.h"
#include "start_program.h"

namespace lathe {
namespace {

void set_end(CliResult& result, int status, int64_t peak_bytes) {
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  result.peak_bytes = peak_bytes;
}

CliResult run_alone(const std::vector<std::string>& words, const CliOptions& options,
                    const std::string& stdout_path, const std::string& stderr_path) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  if (stdout_path == "-")
    posix_spawn_file_actions_addclose(&actions, 1);
  else
    posix_spawn_file_actions_addopen(&actions, 1, stdout_path.c_str(), O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, stderr_path.c_str(), O_WRONLY, 0);
  if (!options.directory.empty())
    posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  const pid_t child = spawn(words, environment_with({}), &actions);
  posix_spawn_file_actions_destroy(&actions);

  CliResult result;
  int status = 0;
  rusage usage{};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options.timeout_s);
  while (wait4(child, &status, WNOHANG, &usage) == 0) {
    if (std::chrono::steady_clock::now() > end) {
      result.timed_out = true;
      kill(child, SIGKILL);
      wait4(child, &status, 0, &usage);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  set_end(result, status, usage.ru_maxrss * 1024);
  return result;
}

// A lathe that has LibTorch loaded and runs each command in a fork (forks/serve_forks.h).
class ForkedLathe {
 public:
  ForkedLathe() {
    int requests[2];
    int replies[2];
    if (::pipe2(requests, O_CLOEXEC) != 0 || ::pipe2(replies, O_CLOEXEC) != 0)
      throw std::runtime_error("no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, requests[0], kForkRequests);
    posix_spawn_file_actions_adddup2(&actions, replies[1], kForkReplies);
    // Those of main, which libgomp and OpenBLAS read when they are loaded.
    pid_ = spawn({LATHE_BINARY},
                 environment_with({"LD_PRELOAD=" LATHE_FORKS, "GOMP_SPINCOUNT=1000",
                                   "OPENBLAS_THREAD_TIMEOUT=4"}),
                 &actions);
    posix_spawn_file_actions_destroy(&actions);
    ::close(requests[0]);
    ::close(replies[1]);
    requests_ = requests[1];
    replies_ = replies[0];
  }
  ForkedLathe(const ForkedLathe&) = delete;
  ForkedLathe& operator=(const ForkedLathe&) = delete;
  ~ForkedLathe() {
    ::close(requests_);
    ::close(replies_);
    ::waitpid(pid_, nullptr, 0);
  }

  CliResult run(const std::vector<std::string>& words, const CliOptions& options,
                const std::string& stdout_path, const std::string& stderr_path) {
    std::string text = options.directory + '\0' + stdout_path + '\0' + stderr_path + '\0';
    for (const std::string& word : words) text += word + '\0';
    ForkHead head{text.size(), {}};
    ::getrlimit(RLIMIT_FSIZE, &head.file_size);
    text.insert(0, reinterpret_cast<const char*>(&head), sizeof head);
    REQUIRE(::write(requests_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    const pid_t child = reply().process;
    REQUIRE(child > 0);
    CliResult result;
    pollfd ended{replies_, POLLIN, 0};
    result.timed_out = ::poll(&ended, 1, options.timeout_s * 1000) == 0;
    if (result.timed_out) ::kill(child, SIGKILL);
    const ForkReply end = reply();
    set_end(result, end.status, end.peak_bytes);
    return result;
  }

 private:
  ForkReply reply() const {
    ForkReply reply;
    REQUIRE(::read(replies_, &reply, sizeof reply) == sizeof reply);
    return reply;
  }

  pid_t pid_ = 0;
  int requests_ = -1;
  int replies_ = -1;
};

// A limit of memory counts from the start: such a command loads LibTorch itself.
bool loads_libtorch(const std::vector<std::string>& arguments) {
  constexpr std::string_view kCommands[] = {"quantize", "prune", "distill", "compile",
                                            "bench",    "run",   "compare"};
  return *LATHE_FORKS != '\0' && !arguments.empty() &&
         std::find(std::begin(kCommands), std::end(kCommands), arguments[0]) !=
             std::end(kCommands) &&
         std::find(arguments.begin(), arguments.end(), "--max-memory") == arguments.end();
}

}  // namespace

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

CliResult run_lathe(const std::vector<std::string>& arguments, const CliOptions& options) {
  const ScratchDirectory capture;
  const std::string out = capture.write("out", "");
  const std::string err = capture.write("err", "");
  const std::string& stdout_path = options.stdout_path.empty() ? out : options.stdout_path;
  std::vector<std::string> words{LATHE_BINARY};
  words.insert(words.end(), arguments.begin(), arguments.end());
  CliResult result;
  if (loads_libtorch(arguments)) {
    static ForkedLathe forks;
    result = forks.run(words, options, stdout_path, err);
  } else {
    result = run_alone(words, options, stdout_path, err);
  }
  result.out = content_of(out);
  result.err = content_of(err);
  return result;
}

std::vector<std::string> listing(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    names.push_back(entry.path().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> joined(std::vector<std::string> words,
                                const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string write_script(const ScratchDirectory& folder, const std::string& name,
                         const std::string& body) {
  const std::string path = folder.write(name, "#!/bin/sh\n" + body + "\n");
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

void check_refused(const CliResult& result, int code, const std::vector<std::string>& named) {
  INFO("stderr: ", result.err);
  CHECK_FALSE(result.timed_out);
  CHECK(result.signal == 0);
  CHECK(result.exit_code == code);
  CHECK(result.out.empty());
  CHECK(result.err.rfind("error[", 0) == 0);
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') <= 2);
  const std::string first = result.err.substr(0, result.err.find('\n'));
  for (const std::string& text : named) {
    INFO("expected: ", text);
    CHECK(first.find(text) != std::string::npos);
  }
}

nlohmann::json report_of(const CliResult& result) {
  INFO("stdout: ", result.out, " stderr: ", result.err);
  const nlohmann::json report = nlohmann::json::parse(result.out, nullptr, false);
  REQUIRE(report.is_object());
  CHECK(report.at("schema") == "lathe.report");
  CHECK(report.at("exit_code") == result.exit_code);
  return report;
}

bool warns(const nlohmann::json& report, const std::string& code) {
  const nlohmann::json& warnings = report["warnings"];
  return std::any_of(warnings.begin(), warnings.end(),
                     [&](const nlohmann::json& warning) { return warning["code"] == code; });
}

}  // namespace lathe
