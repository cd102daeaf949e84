#include "running_lathe.h"

#include <fcntl.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "start_program.h"

namespace lathe {

bool wait_until(const std::function<bool()>& condition, int seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

RunningLathe::RunningLathe(std::vector<std::string> arguments, const std::string& program,
                           std::vector<std::string> settings) {
  arguments.insert(arguments.begin(), program);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_ = spawn(std::move(arguments), environment_with(std::move(settings)), &actions);
  posix_spawn_file_actions_destroy(&actions);
}

RunningLathe::~RunningLathe() {
  if (ended()) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, &status_, 0);
}

bool RunningLathe::ended() {
  if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
  return ended_;
}

bool RunningLathe::wait_for(const std::string& path) {
  const auto there = [&] { return std::filesystem::exists(path); };
  return wait_until([&] { return there() || ended(); }) && there();
}

void RunningLathe::send(int signal) {
  if (!ended()) kill(pid_, signal);
}

pid_t RunningLathe::child() const {
  const std::string pid = std::to_string(pid_);
  pid_t found = 0;
  std::ifstream("/proc/" + pid + "/task/" + pid + "/children") >> found;
  return found;
}

int RunningLathe::finish(int seconds) {
  if (!wait_until([&] { return ended(); }, seconds)) return -1000;
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
}

}  // namespace lathe
