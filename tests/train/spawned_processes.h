// Processes of their own for tests: this executable once more for every rank, running one test
// case. Include before doctest.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "free_port.h"
#include "start_program.h"

namespace lathe::test {

/// Children that end with it at the latest.
class Spawned {
 public:
  using Variables = std::map<std::string, std::string>;

  /// `size` ranks of torchrun's kind run the test case named `name`, with more variables.
  Spawned(const std::string& name, int64_t size, Variables variables) {
    variables["WORLD_SIZE"] = std::to_string(size);
    variables["MASTER_ADDR"] = "127.0.0.1";
    variables["MASTER_PORT"] = free_port();
    for (int64_t rank = 0; rank < size; ++rank) {
      variables["RANK"] = std::to_string(rank);
      std::vector<std::string> settings;
      for (const auto& [variable, value] : variables) settings.push_back(variable + "=" + value);
      children_.push_back(
          spawn({"/proc/self/exe", "-tc=" + name, "-m"}, environment_with(settings)));
    }
  }
  ~Spawned() {
    for (const pid_t child : children_) kill(child, SIGKILL);
    for (const pid_t child : children_) waitpid(child, nullptr, 0);
  }
  Spawned(const Spawned&) = delete;
  Spawned& operator=(const Spawned&) = delete;

  void send(size_t rank, int signal) const { kill(children_[rank], signal); }

  /// Exit status, or minus the signal that ended it; nothing when it still runs after `limit`.
  std::optional<int> wait(size_t rank,
                          std::chrono::seconds limit = std::chrono::seconds(120)) const {
    const auto end = std::chrono::steady_clock::now() + limit;
    siginfo_t info{};
    while (true) {
      // Not reaped: its id stays its own.
      if (waitid(P_PID, static_cast<id_t>(children_[rank]), &info, WEXITED | WNOHANG | WNOWAIT) ==
              0 &&
          info.si_pid != 0)
        return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
      if (std::chrono::steady_clock::now() > end) return std::nullopt;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

 private:
  std::vector<pid_t> children_;
};

}  // namespace lathe::test
