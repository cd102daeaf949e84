// One child process: started with limits, watched until it ends, its output bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lathe {

/// Limits that the kernel enforces in the child (setrlimit); nullopt leaves what is inherited.
struct ChildLimits {
  std::optional<int64_t> address_space_bytes;
  std::optional<int64_t> private_bytes;  // RLIMIT_DATA
  std::optional<int64_t> cpu_seconds;
  std::optional<int64_t> file_bytes;  // 0: every write to a file fails
  std::optional<int64_t> open_files;
};

struct ChildCommand {
  /// The program and its arguments; the program is a path, PATH is not searched.
  std::vector<std::string> argv;
  /// Instead of a program: what a forked copy of this process does; its result is the exit code.
  /// Only where this process has no other threads.
  std::function<int()> body;
  /// "NAME=value"; nullopt inherits the environment.
  std::optional<std::vector<std::string>> environment;
  /// Empty: the parent's.
  std::string working_directory;
  /// What the child reads as standard input; -1: nothing (/dev/null). Stays open in the parent.
  int input = -1;
  /// Descriptors that the child gets besides 0, 1 and 2: the parent's number, the child's.
  std::vector<std::pair<int, int>> descriptors;
  /// Files that standard output and error are appended to instead of being collected.
  std::string output_file;
  std::string error_file;
  /// More output than this ends the child; more error text is dropped.
  size_t max_output_bytes = size_t{64} << 20;
  size_t max_error_bytes = size_t{64} << 10;
  ChildLimits limits;
  /// Wall time before the child is killed; 0: none.
  double seconds = 0;
  /// What the child gets between SIGTERM and SIGKILL when this process is interrupted; 0: it is
  /// killed at once.
  double interrupt_grace_seconds = 0;
  /// What an interrupted child still wrote is returned instead of thrown away with an Error.
  bool returns_when_interrupted = false;
  /// Called while the child runs, several times a second: shows progress.
  std::function<void()> while_waiting;
};

struct ChildResult {
  int exit_code = -1;  // -1: ended by a signal
  int signal = 0;
  bool timed_out = false;
  bool output_exceeded = false;
  std::string output;
  std::string error_output;
  double wall_seconds = 0;
  double cpu_seconds = 0;
  int64_t max_resident_bytes = 0;
};

/// Runs the command in a process group of its own, without core dumps, and waits. The group is
/// killed when the time is over, when the output exceeds its bound, and when the child ends (so
/// that nothing that it started goes on). After SIGINT or SIGTERM to this process: the child is
/// ended, then Error with exit 130 or 143. The child dies with the calling thread. Throws Error
/// (exit 6) when it cannot be started. Several threads may call it at once.
ChildResult run_child(const ChildCommand& command);

}  // namespace lathe
