#include "run_lathe.h"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <spawn.h>
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
#include <thread>

extern char** environ;

namespace lathe {
namespace {

// A file that takes one stream; removed at the end.
class Capture {
 public:
  Capture() : path_((std::filesystem::temp_directory_path() / "lathe_cli_XXXXXX").string()) {
    const int descriptor = mkstemp(path_.data());
    if (descriptor < 0) throw std::runtime_error("no temporary file");
    close(descriptor);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

CliResult run_lathe(const std::vector<std::string>& arguments, const CliOptions& options) {
  const Capture out;
  const Capture err;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  if (options.stdout_path == "-") {
    posix_spawn_file_actions_addclose(&actions, 1);
  } else {
    const std::string& path = options.stdout_path.empty() ? out.path() : options.stdout_path;
    posix_spawn_file_actions_addopen(&actions, 1, path.c_str(), O_WRONLY, 0);
  }
  posix_spawn_file_actions_addopen(&actions, 2, err.path().c_str(), O_WRONLY, 0);
  if (!options.directory.empty())
    posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());

  std::vector<std::string> words{LATHE_BINARY};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  const int problem = posix_spawn(&child, LATHE_BINARY, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) throw std::runtime_error("cannot start " LATHE_BINARY);

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
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  result.out = content_of(out.path());
  result.err = content_of(err.path());
  result.peak_bytes = static_cast<int64_t>(usage.ru_maxrss) * 1024;
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
