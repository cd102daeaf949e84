#include "os/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/error.h"
#include "os/quantity.h"

namespace lathe {
namespace {

using namespace std::chrono_literals;

constexpr auto kRedrawInterval = 250ms;
constexpr auto kPlainInterval = 10s;
constexpr std::string_view kEraseLine = "\r\x1b[K";
// Longer lines would wrap and could not be erased.
constexpr size_t kMaxLine = 79;

}  // namespace

Progress::Progress(ProgressMode mode, Write write, std::function<Clock::time_point()> now)
    : mode_(mode), write_(std::move(write)), now_(std::move(now)) {}

Progress::~Progress() { erase(); }

void Progress::start(std::string_view label, int64_t total, std::string_view unit) {
  const std::lock_guard lock(mutex_);
  erase();
  label_ = escape_untrusted(label, 60);
  unit_ = unit;
  total_ = total;
  active_ = true;
  started_ = last_ = now_();
}

void Progress::update(int64_t done, std::string_view detail) {
  if (mode_ == ProgressMode::kQuiet) return;
  const std::lock_guard lock(mutex_);
  if (!active_ || paused_ > 0) return;
  const Clock::time_point now = now_();
  const Clock::duration interval =
      mode_ == ProgressMode::kTerminal ? Clock::duration(kRedrawInterval) : kPlainInterval;
  if (now - last_ < interval) return;
  last_ = now;
  std::string text = line(done, detail);
  if (mode_ == ProgressMode::kPlain) {
    write_(text + "\n");
    return;
  }
  if (text.size() > kMaxLine) text.resize(kMaxLine);
  write_(std::string(kEraseLine) + text);
  drawn_ = true;
}

std::string Progress::line(int64_t done, std::string_view detail) const {
  const double elapsed_ns = static_cast<double>(std::chrono::nanoseconds(last_ - started_).count());
  std::string text = label_;
  const std::string unit = unit_.empty() ? "" : " " + unit_;
  if (total_ > 0) {
    const int64_t share =
        static_cast<int64_t>(100.0 * static_cast<double>(done) / static_cast<double>(total_));
    text += fmt::format(" {}/{}{} {}%", done, total_, unit, std::clamp<int64_t>(share, 0, 100));
    if (done > 0 && done < total_) {
      const double left =
          elapsed_ns * static_cast<double>(total_ - done) / static_cast<double>(done);
      text += fmt::format(", {} left", duration_text(left < 1e9 ? 1e9 : left));
    }
  } else {
    if (!unit_.empty()) text += fmt::format(" {}{},", done, unit);
    text += " " + duration_text(elapsed_ns);
  }
  if (!detail.empty()) text += fmt::format(", {}", escape_untrusted(detail, 60));
  return text;
}

void Progress::erase() {
  if (!drawn_) return;
  write_(kEraseLine);
  drawn_ = false;
}

void Progress::finish() {
  const std::lock_guard lock(mutex_);
  erase();
  active_ = false;
}

void Progress::pause() {
  const std::lock_guard lock(mutex_);
  erase();
  ++paused_;
}

void Progress::resume() {
  const std::lock_guard lock(mutex_);
  paused_ = std::max(0, paused_ - 1);
}

}  // namespace lathe
