#include "load/open_loop_record.h"

#include <algorithm>

#include "ir/error.h"
#include "load/arrival.h"
#include "load/workers.h"

namespace lathe {
namespace {

// Due and not started at the moment when each issued query became due. The planned starts count:
// the microseconds that a sleeping worker needs to wake up are no backlog.
void account_backlog(std::span<const int64_t> issued, std::span<const BatchRecord> records,
                     OpenLoopResult& result) {
  constexpr size_t kPoints = 100;
  const size_t step = std::max<size_t>(1, (issued.size() + kPoints - 1) / kPoints);
  std::vector<std::pair<int64_t, size_t>> starts;
  for (const BatchRecord& r : records) {
    if (r.end_ns >= 0) starts.emplace_back(r.plan.start_ns, r.plan.count);
  }
  std::sort(starts.begin(), starts.end());
  size_t started = 0;
  size_t next = 0;
  for (size_t i = 0; i < issued.size(); ++i) {
    while (next < starts.size() && starts[next].first <= issued[i]) {
      started += starts[next++].second;
    }
    // Queries due at the same moment may be started by the time the first of them is looked at.
    const size_t waiting = i + 1 > started ? i + 1 - started : 0;
    result.max_backlog = std::max(result.max_backlog, waiting);
    if (i % step == 0) result.backlog.push_back({issued[i], waiting});
  }
}

}  // namespace

std::string_view load_stop_name(LoadStop stop) {
  static constexpr std::string_view kNames[] = {"served_all", "max_time", "interrupted"};
  return kNames[static_cast<size_t>(stop)];
}

void check_open_loop(std::span<const int64_t> due_ns, const OpenLoopOptions& options) {
  if (due_ns.empty() || due_ns.size() > kMaxQueries || due_ns.front() < 0 ||
      !std::is_sorted(due_ns.begin(), due_ns.end())) {
    throw InternalError("open loop: the schedule is empty, too long or not ascending");
  }
  if (options.workers < 1 || options.workers > kMaxWorkers) {
    throw bad_usage("bench.bad_worker_count",
                    "cannot run " + std::to_string(options.workers) + " workers", {},
                    "ask for 1 to " + std::to_string(kMaxWorkers));
  }
  if (options.batch.max_batch < 1 || options.batch.max_delay_ns < 0) {
    throw bad_usage("bench.bad_batch_rule", "a batch needs a size of 1 and no negative delay");
  }
}

OpenLoopResult account_open_loop(std::span<const int64_t> due_ns,
                                 std::span<const BatchRecord> records,
                                 const OpenLoopOptions& options, LoadStop stop, int64_t end_ns) {
  OpenLoopResult result;
  result.stop = stop;
  result.time_ns = end_ns;
  const size_t due_by_end =
      static_cast<size_t>(std::upper_bound(due_ns.begin(), due_ns.end(), end_ns) - due_ns.begin());
  const std::span<const int64_t> issued = due_ns.first(due_by_end);
  result.issued = issued.size();
  const double slo = static_cast<double>(options.slo_ns.value_or(0));
  size_t over = 0;
  double busy_ns = 0;
  std::vector<bool> done(issued.size(), false);
  for (const BatchRecord& r : records) {
    if (r.end_ns < 0) continue;
    const double service = static_cast<double>(r.end_ns - r.start_ns);
    busy_ns += service;
    result.service_ns.push_back(service);
    const int64_t late = r.start_ns - r.plan.start_ns;
    result.worst_late_ns = std::max(result.worst_late_ns, late);
    if (late > options.late_ns) ++result.late_starts;
    if (r.plan.queued) result.queued += r.plan.count;
    if (!r.plan.queued && r.plan.first + r.plan.count > issued.size() / 2) {
      result.caught_up = true;
    }
    for (size_t i = r.plan.first; i < r.plan.first + r.plan.count; ++i) {
      done[i] = true;
      result.latency_ns.push_back(static_cast<double>(r.end_ns - due_ns[i]));
      result.wait_ns.push_back(static_cast<double>(r.start_ns - due_ns[i]));
      if (result.latency_ns.back() > slo) ++over;
    }
  }
  result.completed = result.latency_ns.size();
  result.left_waiting = result.issued - result.completed;
  account_backlog(issued, records, result);
  const double seconds = std::max(1e-9, static_cast<double>(end_ns) * 1e-9);
  result.throughput_per_s = static_cast<double>(result.completed) / seconds;
  result.busy_share = busy_ns * 1e-9 / (seconds * static_cast<double>(options.workers));
  if (options.slo_ns) {
    result.goodput_per_s = static_cast<double>(result.completed - over) / seconds;
    size_t waiting_over = 0;
    for (size_t i = 0; i < issued.size(); ++i) {
      if (!done[i] && static_cast<double>(end_ns - issued[i]) > slo) ++waiting_over;
    }
    result.over_slo = over + waiting_over;
    result.judged = result.completed + waiting_over;
  }
  return result;
}

}  // namespace lathe
