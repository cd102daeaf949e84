#include "load/streams.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "load/workers.h"

namespace lathe {
namespace {

// What the streams know of one another.
class Streams {
 public:
  Streams(const StreamsOptions& options, const Conduct& conduct)
      : options_(options), conduct_(conduct) {
    result_.streams.resize(options.streams);
  }

  void open() { origin_ = conduct_.clock(); }

  void run(const StreamRunnable& run, size_t stream, const std::atomic<bool>& stop) {
    Samples& samples = result_.streams[stream];
    if (stop) return;
    do {
      const int64_t start = conduct_.clock();
      run(stream, samples.latency_ns.size());
      const int64_t end = conduct_.clock();
      samples.latency_ns.push_back(static_cast<double>(end - start));
      samples.time_ns = end - origin_;
      if (options_.lockstep) {
        end_round(start, end);
      } else {
        const std::lock_guard lock(mutex_);
        ++result_.iterations;
        if (samples.latency_ns.size() == options_.iterations.value_or(0)) ++reached_;
        decide(end, reached_ == options_.streams);
      }
    } while (!stop && !over_);
  }

  /// A stream has failed: nobody waits for it any longer.
  void give_up() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    round_ended_.notify_all();
  }

  StreamsResult result() {
    for (Samples& samples : result_.streams) {
      samples.stop_reason = result_.stop_reason;
      result_.time_ns = std::max(result_.time_ns, samples.time_ns);
    }
    const double seconds = std::max(1e-9, static_cast<double>(result_.time_ns) * 1e-9);
    result_.iterations_per_s = static_cast<double>(result_.iterations) / seconds;
    return std::move(result_);
  }

 private:
  void end_round(int64_t start, int64_t end) {
    std::unique_lock lock(mutex_);
    first_start_ = arrived_ == 0 ? start : std::min(first_start_, start);
    last_end_ = arrived_ == 0 ? end : std::max(last_end_, end);
    ++result_.iterations;
    if (++arrived_ < options_.streams) {
      const size_t mine = round_;
      round_ended_.wait(lock, [&] { return round_ != mine || over_; });
      return;
    }
    arrived_ = 0;
    ++round_;
    result_.joint_ns.push_back(static_cast<double>(last_end_ - first_start_));
    decide(last_end_, options_.iterations && round_ >= *options_.iterations);
    round_ended_.notify_all();
  }

  // The other streams read over_ without the lock: it is set once, when that is certain.
  void decide(int64_t now, bool asked_number_run) {
    if (over_) return;
    if (conduct_.interrupted()) {
      end_with(StopReason::kInterrupted);
    } else if (options_.iterations && asked_number_run) {
      end_with(StopReason::kIterations);
    } else if (now - origin_ >= options_.max_ns) {
      end_with(StopReason::kMaxTime);
    } else if (result_.iterations + options_.streams > options_.max_iterations) {
      end_with(StopReason::kMaxIterations);
    }
  }

  void end_with(StopReason reason) {
    result_.stop_reason = reason;
    over_ = true;
  }

  const StreamsOptions& options_;
  const Conduct& conduct_;
  int64_t origin_ = 0;
  std::mutex mutex_;
  std::condition_variable round_ended_;
  std::atomic<bool> over_ = false;
  size_t reached_ = 0;
  size_t arrived_ = 0;
  size_t round_ = 0;
  int64_t first_start_ = 0;
  int64_t last_end_ = 0;
  StreamsResult result_;
};

}  // namespace

StreamsResult run_streams(const StreamRunnable& run, const StreamsOptions& options,
                          const Conduct& conduct) {
  Streams streams(options, conduct);
  WorkerSteps steps;
  steps.prepare = [&](size_t stream) {
    for (size_t i = 0; i < options.warm_up; ++i) run(stream, i);
  };
  steps.at_start = [&] { streams.open(); };
  steps.run = [&](size_t stream, const std::atomic<bool>& stop) {
    try {
      streams.run(run, stream, stop);
    } catch (...) {
      streams.give_up();
      throw;
    }
  };
  run_workers(options.streams, steps);
  return streams.result();
}

}  // namespace lathe
