// lathe at work in the background, to be interrupted.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace lathe {

/// Whether the condition came true in that time.
bool wait_until(const std::function<bool()>& condition, int seconds = 300);

/// Started with default signal handling; its output goes nowhere; killed at the end.
class RunningLathe {
 public:
  /// `settings`: NAME=VALUE, for its environment.
  explicit RunningLathe(std::vector<std::string> arguments,
                        const std::string& program = LATHE_BINARY,
                        std::vector<std::string> settings = {});
  RunningLathe(const RunningLathe&) = delete;
  RunningLathe& operator=(const RunningLathe&) = delete;
  ~RunningLathe();

  bool ended();
  /// Until the file is there; false when lathe ended before, or after five minutes.
  bool wait_for(const std::string& path);
  void send(int signal);
  /// A process that it started; 0 while there is none.
  pid_t child() const;
  /// The exit code; -signal when one ended it; -1000 when it did not end in that time.
  int finish(int seconds = 120);

 private:
  pid_t pid_ = 0;
  int status_ = 0;
  bool ended_ = false;
};

}  // namespace lathe
