// A child process that is talked with: lines and bytes both ways.
#pragma once

#include <sys/types.h>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

class DuplexChild {
 public:
  /// `argv[0]` is sought in PATH. Throws Error (exit 6) when it cannot be started.
  explicit DuplexChild(const std::vector<std::string>& argv);
  /// Ends its input, waits for a moment, and kills it.
  ~DuplexChild();
  DuplexChild(const DuplexChild&) = delete;
  DuplexChild& operator=(const DuplexChild&) = delete;

  /// False when the child does not read any more, reads nothing for `seconds` (0: however long), or
  /// writes more than a MiB meanwhile.
  /// Throws Error (exit 130 or 143) when this process is interrupted, as those below do.
  bool write(std::string_view bytes, double seconds = 0);
  void end_input();
  /// Without its end; false when the output ends before, is longer than `most`, or takes more than
  /// `seconds` (0: however long).
  bool read_line(std::string& line, double seconds, size_t most = size_t{1} << 22);
  /// Exactly `count`; false when the output ends before, or nothing comes for `seconds`.
  bool read(size_t count, double seconds, std::string& bytes);
  /// Whether its output has come to its end.
  bool has_ended() const { return has_ended_; }
  /// Its exit code once it ends, -1 for a signal.
  int wait();
  /// What it wrote to standard error so far, at most 64 KiB.
  std::string error_output() const;

 private:
  bool read_some();
  bool fill(double seconds);

  pid_t pid_ = -1;
  int input_ = -1;   // written here
  int output_ = -1;  // read here
  int errors_ = -1;  // a file in memory
  bool has_ended_ = false;
  std::string read_;
};

}  // namespace lathe
