// One line that says how far a long step is. Writes through a function that the tool gives.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace lathe {

enum class ProgressMode {
  kQuiet,     // nothing
  kTerminal,  // one line redrawn at most 4 times a second
  kPlain,     // a line each 10 s (CI logs)
};

/// Thread-safe. Short steps print nothing: the first line comes after 0.25 s or 10 s.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;
  using Write = std::function<void(std::string_view)>;

  Progress() : Progress(ProgressMode::kQuiet, [](std::string_view) {}) {}
  /// `now` is replaced in tests.
  Progress(ProgressMode mode, Write write, std::function<Clock::time_point()> now = Clock::now);
  /// Erases the redrawn line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// A new step of `total` units (0: not known): "calibrating", 256, "samples". Without either its
  /// time is shown alone.
  void start(std::string_view label, int64_t total, std::string_view unit = {});
  /// Units done since start(); `detail` is appended ("loss 0.412").
  void update(int64_t done, std::string_view detail = {});
  /// Ends the step.
  void finish();

  /// Nothing is written between the two (timed blocks, other output on the terminal).
  void pause();
  void resume();

 private:
  std::string line(int64_t done, std::string_view detail) const;
  void erase();

  ProgressMode mode_;
  Write write_;
  std::function<Clock::time_point()> now_;
  std::mutex mutex_;
  std::string label_;
  std::string unit_;
  int64_t total_ = 0;
  bool active_ = false;
  bool drawn_ = false;
  int paused_ = 0;
  Clock::time_point started_;
  Clock::time_point last_;
};

}  // namespace lathe
