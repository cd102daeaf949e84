#include "commands/quantize/stage_time.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "ir/error.h"
#include "os/quantity.h"
#include "os/signals.h"

namespace lathe {
namespace {

constexpr const char* kTimeUp = "quantize.time";

bool is_up(const QuantizeJob& job) { return job.times.clock.seconds() > job.times.allowed_seconds; }

}  // namespace

double allowed_seconds(const QuantizeOptions& options) {
  if (options.time.empty()) return std::numeric_limits<double>::infinity();
  const int64_t nanoseconds = parse_nanoseconds(options.time, "--time");
  if (nanoseconds <= 0)
    throw bad_usage("usage.time", "no time at all", "--time", "--effort fast takes the least");
  return static_cast<double>(nanoseconds) / 1e9;
}

std::function<void()> stage_check(const QuantizeJob& job) {
  return [&job] {
    throw_if_interrupted();
    if (is_up(job)) throw over_limit(kTimeUp, "the time is up", "--time");
  };
}

bool within_time(const QuantizeJob& job, const std::string& stage,
                 const std::function<void()>& run) {
  if (!is_up(job)) {
    try {
      const Stopwatch watch;
      run();
      job.times.seconds[stage] = watch.seconds();
      return true;
    } catch (const Error& error) {
      if (error.id() != kTimeUp) throw;
    }
  }
  job.times.left_out.push_back(stage);
  return false;
}

void warn_left_out(const QuantizeJob& job) {
  if (job.times.left_out.empty()) return;
  job.console.warn(kTimeUp,
                   fmt::format("the time of --time {} was up: without {}",
                               escape_untrusted(job.options.time),
                               fmt::join(job.times.left_out, ", ")),
                   "give more time, or --effort fast for none of that");
}

}  // namespace lathe
