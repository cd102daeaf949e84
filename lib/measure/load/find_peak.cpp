#include "load/find_peak.h"

#include <algorithm>
#include <cmath>

#include "ir/error.h"
#include "load/over_limit.h"
#include "statistics/random.h"
#include "statistics/statistics.h"

namespace lathe {
namespace {

void check_options(const PeakSearchOptions& o) {
  const auto reject = [](const char* what, const char* hint) {
    throw bad_usage("bench.bad_peak_search", what, {}, hint);
  };
  if (o.slo_ns <= 0) reject("the peak search needs a latency limit", "give one above 0 (--slo)");
  if (!(o.percentile > 0 && o.percentile < 1)) reject("the percentile is not inside (0, 1)", "");
  if (!(o.confidence > 0.5 && o.confidence < 1)) {
    reject("the confidence is not inside (0.5, 1)", "");
  }
  if (!(o.min_rate_per_s > 0 && o.min_rate_per_s <= o.first_rate_per_s &&
        o.first_rate_per_s <= o.max_rate_per_s && o.max_rate_per_s <= 1e9)) {
    reject("the rates of the peak search are not in order", "0 < min <= first <= max <= 1e9");
  }
  if (!(o.resolution >= 0.001)) reject("the resolution is below 0.001", "");
}

// What the trials of one rate saw together.
struct AllOfRate {
  size_t judged = 0;
  size_t over = 0;
  std::vector<double> latency_ns;
};

// All trials of one search.
class Search {
 public:
  Search(const LoadTrial& trial, const PeakSearchOptions& options, const Conduct& conduct)
      : trial_(trial),
        options_(options),
        conduct_(conduct),
        deadline_(conduct.clock() + options.max_ns),
        random_(options.seed) {
    queries_ = options.queries > 0 ? options.queries : 2 * samples_needed(options.percentile);
    queries_ = std::min(queries_, kMaxQueries);
  }

  /// nullopt: a bound of the search was hit; peak_.stop says which.
  std::optional<bool> met(double rate) {
    AllOfRate all;
    size_t queries = queries_;
    for (size_t look = 1; look <= std::max<size_t>(1, options_.looks); ++look) {
      if (!may_go_on(rate, queries)) return std::nullopt;
      const LoadRequest request{rate, queries, random_.next(), options_.slo_ns,
                                deadline_ - conduct_.clock()};
      const OpenLoopResult result = trial_(request);
      if (result.stop == LoadStop::kInterrupted) {
        peak_.stop = PeakStop::kInterrupted;
        return std::nullopt;
      }
      if (!result.over_slo) throw InternalError("find_peak: the trial did not apply the SLO");
      all.judged += result.judged;
      all.over += *result.over_slo;
      all.latency_ns.insert(all.latency_ns.end(), result.latency_ns.begin(),
                            result.latency_ns.end());
      const TrialVerdict verdict = note(rate, look, all, result);
      if (verdict != TrialVerdict::kUndecided) return verdict == TrialVerdict::kMet;
      if (look > 1) queries = std::min(2 * queries, kMaxQueries);
    }
    return false;
  }

  Peak end(std::optional<double> low, std::optional<double> high, std::optional<PeakStop> stop) {
    peak_.rate_per_s = low;
    peak_.failed_rate_per_s = high;
    if (stop) peak_.stop = *stop;
    return std::move(peak_);
  }

 private:
  bool may_go_on(double rate, size_t queries) {
    const double left_ns = static_cast<double>(deadline_ - conduct_.clock());
    if (conduct_.interrupted()) {
      peak_.stop = PeakStop::kInterrupted;
    } else if (peak_.trials.size() >= options_.max_trials) {
      peak_.stop = PeakStop::kMaxTrials;
    } else if (left_ns <= 0 || static_cast<double>(queries) / rate * 1e9 > left_ns) {
      peak_.stop = PeakStop::kMaxTime;
    } else {
      return true;
    }
    return false;
  }

  TrialVerdict note(double rate, size_t look, const AllOfRate& all, const OpenLoopResult& result) {
    const double confidence =
        1 - (1 - options_.confidence) / static_cast<double>(std::max<size_t>(1, options_.looks));
    PeakTrial row;
    row.rate_per_s = rate;
    row.look = look;
    row.queries = all.judged;
    row.over = all.over;
    row.clustering =
        clustering(all.latency_ns, static_cast<double>(options_.slo_ns), options_.percentile);
    const size_t worth = static_cast<size_t>(static_cast<double>(all.judged) / row.clustering);
    if (const auto most = most_over_limit(worth, options_.percentile, confidence)) {
      row.allowed = static_cast<size_t>(static_cast<double>(*most) * row.clustering);
    }
    const double too_many = row.clustering * static_cast<double>(fewest_over_limit(
                                                 worth, options_.percentile, confidence));
    if (result.completed >= samples_needed(options_.percentile)) {
      std::vector<double> sorted = result.latency_ns;
      std::sort(sorted.begin(), sorted.end());
      row.latency_ns = quantile(sorted, options_.percentile);
    }
    row.max_backlog = result.max_backlog;
    row.caught_up = result.caught_up;
    row.goodput_per_s = result.goodput_per_s.value_or(0);
    row.time_ns = result.time_ns;
    if (static_cast<double>(all.over) >= too_many) {
      row.verdict = TrialVerdict::kMissed;
    } else if (result.caught_up && row.allowed && all.over <= *row.allowed) {
      row.verdict = TrialVerdict::kMet;
    }
    peak_.trials.push_back(row);
    return row.verdict;
  }

  const LoadTrial& trial_;
  const PeakSearchOptions& options_;
  const Conduct& conduct_;
  int64_t deadline_;
  BenchRandom random_;
  size_t queries_ = 0;
  Peak peak_;
};

}  // namespace

std::string_view trial_verdict_name(TrialVerdict verdict) {
  static constexpr std::string_view kNames[] = {"met", "missed", "undecided"};
  return kNames[static_cast<size_t>(verdict)];
}

std::string_view peak_stop_name(PeakStop stop) {
  static constexpr std::string_view kNames[] = {"resolved",   "never_met", "never_missed",
                                                "max_trials", "max_time",  "interrupted"};
  return kNames[static_cast<size_t>(stop)];
}

Peak find_peak(const LoadTrial& trial, const PeakSearchOptions& options, const Conduct& conduct) {
  check_options(options);
  Search search(trial, options, conduct);
  std::optional<double> low;
  std::optional<double> high;
  double rate = options.first_rate_per_s;
  while (true) {
    const std::optional<bool> met = search.met(rate);
    if (!met) return search.end(low, high, {});
    (*met ? low : high) = rate;
    if (!high && rate >= options.max_rate_per_s)
      return search.end(low, high, PeakStop::kNeverMissed);
    if (!low && rate <= options.min_rate_per_s) return search.end(low, high, PeakStop::kNeverMet);
    if (low && high && *high <= *low * (1 + options.resolution))
      return search.end(low, high, PeakStop::kResolved);
    if (!high) {
      rate = std::min(rate * 2, options.max_rate_per_s);
    } else if (!low) {
      rate = std::max(rate / 2, options.min_rate_per_s);
    } else {
      rate = std::sqrt(*low * *high);
    }
  }
}

LoadTrial server_trial(const BatchRunnable& run, Arrival arrival, const OpenLoopOptions& options,
                       const Conduct& conduct) {
  return [run, arrival, options, conduct](const LoadRequest& request) {
    ArrivalOptions arrivals;
    arrivals.arrival = arrival;
    arrivals.rate_per_s = request.rate_per_s;
    arrivals.max_queries = request.queries;
    arrivals.seed = request.seed;
    OpenLoopOptions own = options;
    own.slo_ns = request.slo_ns;
    own.max_ns = std::min(options.max_ns, request.max_ns);
    return run_open_loop(schedule_arrivals(arrivals), run, own, conduct);
  };
}

}  // namespace lathe
