#include "commands/bench/sweep.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "commands/bench/resume.h"
#include "commands/bench/sweep_judge.h"
#include "ir/error.h"
#include "names/engines.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "report/fields.h"
#include "statistics/clock.h"
#include "statistics/random.h"

namespace lathe {
namespace {

using nlohmann::json;

using ModelAndEngine = std::pair<std::string, std::string>;
ModelAndEngine key_of(const BenchCase& one) { return {one.model, one.engine}; }

// A batch that ran out of memory says enough of the larger ones.
std::optional<CaseFailure> backed_off(const SweepCase& one, const std::vector<SweepCase>& cases) {
  for (const SweepCase& other : cases)
    if (other.failure && other.failure->out_of_memory() && !other.failure->not_tried() &&
        other.plan.batch && one.plan.batch && *one.plan.batch > *other.plan.batch &&
        same_but_batch(one.plan, other.plan))
      return CaseFailure{ExitCode::kLimit, 0, "bench.backed_off",
                         fmt::format("not tried: batch {} ran out of memory", *other.plan.batch)};
  return std::nullopt;
}

// What asks for an accuracy that the data cannot give fails every case alike.
bool is_mistake_in_flags(const CaseFailure& failure) {
  return failure.code == ExitCode::kUsage &&
         (failure.id.starts_with("gate.") || failure.id == "usage.labels" ||
          failure.id == "usage.metric");
}

// Of --batch auto: two larger batches in a row that take as long per item say enough of the rest.
std::optional<CaseFailure> brings_nothing(const SweepCase& one,
                                          const std::vector<SweepCase>& cases) {
  constexpr double kGain = 0.02;
  double best = 0;
  int64_t best_batch = 0;
  int worse_since = 0;
  for (const SweepCase& other : cases) {
    if (!other.plan.batch || *other.plan.batch >= *one.plan.batch || other.processes.empty() ||
        !same_but_batch(one.plan, other.plan))
      continue;
    const auto rate =
        number_field(field(other.processes[0].at("cases").at(0), "throughput"), "items_per_s");
    if (!rate || *rate <= 0) continue;
    const double ns = 1e9 / *rate;
    if (best == 0 || ns < best * (1 - kGain)) {
      best = ns;
      best_batch = *other.plan.batch;
      worse_since = 0;
    } else {
      ++worse_since;
    }
  }
  if (worse_since < 2) return std::nullopt;
  return CaseFailure{ExitCode::kLimit, 0, "bench.backed_off",
                     fmt::format("not tried: beyond batch {} nothing is gained", best_batch)};
}

ComparisonOptions comparison_options(const BenchOptions& options, const BenchRequest& request) {
  ComparisonOptions comparison;
  comparison.tolerance = request.tolerance;
  comparison.seed = options.common.seed;
  comparison.processes = static_cast<size_t>(request.processes);
  comparison.looks = request.looks;
  return comparison;
}

// How far a case is with its processes.
struct CaseProgress {
  bool closed = false;
  size_t looks = 0;
  int64_t spent_ns = 0;
  int64_t longest_ns = 0;
};

class SweepRun {
 public:
  SweepRun(const BenchOptions& options, const BenchRequest& request, Console& console)
      : options_(options), request_(request), console_(console), resume_(options.resume) {
    for (const BenchCase& plan : request.cases) {
      SweepCase& one = sweep_.cases.emplace_back();
      one.plan = plan;
      one.scenario = options.scenario;
    }
    progress_.resize(sweep_.cases.size());
  }

  Sweep run() {
    take_finished();
    try {
      int64_t target = request_.processes;
      for (size_t look = 1; look <= request_.looks && any_open(); ++look, target *= 2) {
        if (request_.is_alone())  // how long it takes is known when it has converged
          console_.progress().start(
              "measuring for at most " + duration_text(static_cast<double>(request_.max_ns)) + ":",
              0);
        else
          console_.progress().start(look == 1 ? "measuring" : "measuring more", runs_left(target),
                                    "runs");
        runs_ = 0;
        while (any_below(target)) run_round(target, look);
        for (size_t i = 0; i < sweep_.cases.size(); ++i) look_at(i, look);
      }
    } catch (const Error& error) {
      if (!interrupted()) throw;
      sweep_.interruption = error;
      finish_interrupted();
    }
    console_.progress().finish();
    for (SweepCase& one : sweep_.cases)
      if (!one.row.is_null()) share_quality(one, quality_[key_of(one.plan)]);
    return std::move(sweep_);
  }

 private:
  bool any_open() const {
    return std::any_of(progress_.begin(), progress_.end(),
                       [](const CaseProgress& one) { return !one.closed; });
  }

  bool is_below(size_t i, int64_t target) const {
    if (progress_[i].closed) return false;
    if (static_cast<int64_t>(sweep_.cases[i].processes.size()) >= target) return false;
    // Counts are the same each time.
    if (is_emulated(sweep_.cases[i].plan.engine) && !sweep_.cases[i].processes.empty())
      return false;
    // The first look is always reached: what the children were given adds up to --max-time.
    const CaseProgress& at = progress_[i];
    return at.looks == 0 || at.spent_ns + at.longest_ns <= request_.max_ns;
  }

  bool any_below(int64_t target) const {
    for (size_t i = 0; i < sweep_.cases.size(); ++i)
      if (is_below(i, target)) return true;
    return false;
  }

  int64_t runs_left(int64_t target) const {
    int64_t left = 0;
    for (size_t i = 0; i < sweep_.cases.size(); ++i)
      if (is_below(i, target))
        left += target - static_cast<int64_t>(sweep_.cases[i].processes.size());
    return left;
  }

  void take_finished() {
    if (options_.resume.empty()) return;
    for (size_t i = 0; i < sweep_.cases.size(); ++i) {
      SweepCase& one = sweep_.cases[i];
      try {
        keys_[one.plan.id] = resume_key(one.plan, options_, request_);
      } catch (const Error& error) {
        if (error.code() != ExitCode::kBadInput) throw;
        fail(i, {error.code(), 0, error.id(), error.text().message});
        continue;
      }
      const json* stored = resume_.find(keys_[one.plan.id]);
      if (stored == nullptr) continue;
      one.processes = stored->get<std::vector<json>>();
      one.resumed = true;
      progress_[i].closed = true;
      merge(one);
    }
  }

  // Each round runs every open case once, in an order of its own: what changes with the time of
  // day falls on all of them.
  void run_round(int64_t target, size_t look) {
    std::vector<size_t> order(sweep_.cases.size());
    std::iota(order.begin(), order.end(), size_t{0});
    BenchRandom random(options_.common.seed + 0x5EED + rounds_++);
    if (!request_.searches_batch)
      for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    for (const size_t i : order)
      if (is_below(i, target)) {
        run_once(i);
        // Kept at once: what ends this run does not cost the cases that are finished.
        if (!is_below(i, target)) look_at(i, look);
      }
  }

  void run_once(size_t i) {
    SweepCase& one = sweep_.cases[i];
    throw_if_interrupted();
    if (const auto failure = backed_off(one, sweep_.cases)) return fail(i, *failure);
    if (request_.searches_batch)
      if (const auto failure = brings_nothing(one, sweep_.cases)) return fail(i, *failure);
    if (!request_.is_alone()) console_.progress().update(runs_, one.plan.id);
    const bool wants_quality = !quality_.contains(key_of(one.plan));
    const int64_t start = now_ns();
    ChildCommand command =
        child_command(one.plan, options_, request_, one.processes.size(), wants_quality);
    if (request_.is_alone()) command.while_waiting = [&] { console_.progress().update(0); };
    const ChildOutcome outcome = run_case(command);
    // What one process measured so far is worth showing.
    if (interrupted() && !list_field(outcome.report, "cases").empty())
      one.processes.push_back(trimmed_report(outcome.report));
    throw_if_interrupted();
    const int64_t took = now_ns() - start;
    progress_[i].spent_ns += took;
    progress_[i].longest_ns = std::max(progress_[i].longest_ns, took);
    if (!request_.is_alone()) console_.progress().update(++runs_, one.plan.id);
    if (!outcome.failure || request_.is_alone()) forward_warnings(outcome.report);
    if (const auto& failure = outcome.failure) {
      if (request_.is_alone()) throw Error(failure->code, failure->id, failure->text);
      if (is_mistake_in_flags(*failure)) throw bad_usage(failure->id, failure->message);
      return fail(i, *failure);
    }
    one.processes.push_back(trimmed_report(outcome.report));
    if (wants_quality) quality_[key_of(one.plan)] = outcome.report.at("quality");
  }

  // What its processes say so far; closed when a further look could change nothing.
  void look_at(size_t i, size_t look) {
    SweepCase& one = sweep_.cases[i];
    CaseProgress& at = progress_[i];
    if (at.closed || at.looks == look || one.processes.empty()) return;
    at.looks = look;
    merge(one);
    widen_for_gates(one, options_, request_);
    const bool settled =
        !one.compared || (is_settled(*one.compared) && is_speed_decided(one, request_));
    const bool out_of_time = at.spent_ns + at.longest_ns > request_.max_ns;
    note_look(one, look,
              settled       ? StopReason::kConverged
              : out_of_time ? StopReason::kMaxTime
                            : StopReason::kIterations);
    if (!settled && !out_of_time && look < request_.looks) return;
    at.closed = true;
    // Another case may have measured the accuracy, and not be there when this one is taken up.
    const auto quality = quality_.find(key_of(one.plan));
    if (quality != quality_.end()) one.processes[0]["quality"] = quality->second;
    resume_.keep(keys_[one.plan.id], one);
  }

  static void note_look(SweepCase& one, size_t look, StopReason stop) {
    if (!one.compared) return;
    one.comparison["looks"] = look;
    one.comparison["stop_reason"] = stop_reason_name(stop);
  }

  void finish_interrupted() {
    for (size_t i = 0; i < sweep_.cases.size(); ++i) {
      if (progress_[i].closed || sweep_.cases[i].processes.empty()) continue;
      merge(sweep_.cases[i]);
      note_look(sweep_.cases[i], progress_[i].looks, StopReason::kInterrupted);
    }
  }

  void merge(SweepCase& one) {
    merge_case(one, comparison_options(options_, request_), options_.resume);
    if (!one.quality.is_null()) quality_.emplace(key_of(one.plan), one.quality);
  }

  void fail(size_t i, const CaseFailure& failure) {
    SweepCase& one = sweep_.cases[i];
    one.failure = failure;
    progress_[i].closed = true;
    merge_case(one, comparison_options(options_, request_), {});
    if (!failure.not_tried())
      console_.warn("bench.case_failed",
                    one.plan.id + ": " + escape_untrusted(failure.message, 300));
  }

  // Those that are no case's own, once each.
  void forward_warnings(const json& report) {
    for (const json& warning : list_field(report, "warnings")) {
      const std::string code = warning.value("code", "");
      const std::string message = warning.value("message", "");
      const bool of_the_case =
          code == "bench.drift" || code == "bench.bimodal" || code == "bench.contention";
      if (!of_the_case && warned_.insert(code + message).second)
        console_.warn(code, message, warning.value("hint", ""));
    }
  }

  const BenchOptions& options_;
  const BenchRequest& request_;
  Console& console_;
  ResumeFile resume_;
  Sweep sweep_;
  std::vector<CaseProgress> progress_;  // one a case
  std::map<std::string, std::string> keys_;
  std::map<ModelAndEngine, json> quality_;
  std::set<std::string> warned_;
  int64_t runs_ = 0;
  uint64_t rounds_ = 0;
};

}  // namespace

Sweep run_cases(const BenchOptions& options, const BenchRequest& request, Console& console) {
  return SweepRun(options, request, console).run();
}

}  // namespace lathe
