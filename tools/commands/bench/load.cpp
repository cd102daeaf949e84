#include "commands/bench/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "gates/gate.h"
#include "heavy/compile_target.h"
#include "heavy/make_engine.h"
#include "ir/error.h"
#include "os/signals.h"
#include "profiles/profile.h"
#include "run/threads.h"
#include "statistics/clock.h"
#include "torchscript/emit/quantized_engine_scope.h"
#include "torchscript/emit/torchscript_engine.h"

namespace lathe {
namespace {

constexpr double kUsualSeconds = 5;
constexpr int64_t kUsualStreamsNs = 10'000'000'000;

// The numeric libraries' threads while it lives; `after` from then on. New threads take the count
// over, as they do the mode for denormal numbers.
class ThreadsEach {
 public:
  ThreadsEach(int threads, int after) : after_(after) { set_thread_count_everywhere(threads); }
  ~ThreadsEach() { set_thread_count_everywhere(after_); }
  ThreadsEach(const ThreadsEach&) = delete;
  ThreadsEach& operator=(const ThreadsEach&) = delete;

 private:
  int after_;
};

bool runs_quantized_operators(const Engine& engine) {
  const auto* torchscript = dynamic_cast<const TorchScriptEngine*>(&engine);
  return torchscript != nullptr && !torchscript->artifact().quantized.groups.empty();
}

// Latencies at whose `moments_ns` (ascending) one of the run's answers each was given, as a rate of
// `items` an answer, with a 95 % interval from the means of up to 20 blocks of time (method of
// batch means). No interval below 40 answers.
Estimate rate_of_answers(const std::vector<double>& moments_ns, double time_ns, double items) {
  constexpr size_t kBlocks = 20;
  constexpr size_t kFewestBlocks = 8;
  constexpr size_t kAnswersOfBlock = 5;
  const double seconds = std::max(1e-9, time_ns * 1e-9);
  Estimate rate{static_cast<double>(moments_ns.size()) / seconds * items, {}};
  const size_t blocks = std::min(kBlocks, moments_ns.size() / kAnswersOfBlock);
  if (blocks < kFewestBlocks || time_ns <= 0) return rate;
  std::vector<double> counts(blocks, 0);
  for (const double moment : moments_ns) {
    const double at = moment / time_ns * static_cast<double>(blocks);
    counts[std::min(blocks - 1, static_cast<size_t>(std::max(0.0, at)))] += 1;
  }
  const Estimate count = positive_mean(summarize(counts));
  const double scale = rate.value / count.value;
  rate.ci95 = Interval{scale * count.ci95->low, scale * count.ci95->high};
  return rate;
}

class LoadRun {
 public:
  LoadRun(const BenchRequest& request, const BenchOptions& options, const BenchSubject& subject,
          int64_t items, Console& console)
      : request_(request),
        options_(options),
        subject_(subject),
        items_(static_cast<double>(items)),
        console_(console),
        profile_(load_profile(options.common.profile)) {
    load_.plan = request.load;
    const std::optional<int64_t>& batch = request.cases.front().batch;
    if (load_.plan.scenario == Scenario::kMulti || !batch) {
      load_.items_per_query = items_;
    } else {
      load_.batch.max_batch = static_cast<size_t>(*batch);
      load_.items_per_query = 1;
    }
    if (load_.plan.scenario == Scenario::kServer && load_.batch.max_batch > 1)
      load_.batch.max_delay_ns =
          load_.plan.max_delay_ns.value_or(std::llround(profile_.execution.queue_delay_ms * 1e6));
  }

  BenchLoad run(const std::vector<std::vector<Tensor>>& pool, int threads,
                const std::function<void(std::string_view)>& phase) {
    load_.threads_each = std::max(1, threads / static_cast<int>(load_.plan.streams));
    make_engines(pool);
    // Each execution sets the process's quantized engine for its duration; with several at once
    // the first to end would take it from the others.
    std::optional<QuantizedEngineScope> scope;
    if (runs_quantized_operators(*engines_.front())) scope.emplace(quantized_engine(profile_));
    const ThreadsEach each(load_.threads_each, threads);
    deadline_ = now_ns() + request_.max_ns;
    quiet_.interrupted = [] { return interrupted(); };
    phase("warming up");
    warm_up_workers();
    phase("measuring");
    console_.progress().start(scenario_name(load_.plan.scenario), 0, "runs");
    console_.progress().pause();
    if (!interrupted()) {
      switch (load_.plan.scenario) {
        case Scenario::kSingle: throw InternalError("run_load: single");
        case Scenario::kMulti: run_multi(); break;
        case Scenario::kServer: run_server(); break;
        case Scenario::kOffline: run_offline(); break;
      }
    }
    console_.progress().resume();
    console_.progress().finish();
    load_.interrupted = interrupted();
    if (!load_.latency_ns.empty()) load_.latency = summarize(load_.latency_ns);
    if (!load_.service_ns.empty()) load_.service = summarize(load_.service_ns);
    return std::move(load_);
  }

 private:
  void make_engines(const std::vector<std::vector<Tensor>>& pool) {
    engines_.push_back(subject_.engine.get());
    if (load_.plan.streams == 1) return;
    Model executed = subject_.model;
    if (subject_.batched) executed.graph = *subject_.batched;
    Progress& progress = console_.progress();
    progress.start("preparing workers", static_cast<int64_t>(load_.plan.streams) - 1);
    while (engines_.size() < load_.plan.streams) {
      throw_if_interrupted();
      own_.push_back(make_engine(request_.cases.front().engine, subject_.path, executed,
                                 subject_.plan, profile_, options_.common));
      own_.back()->prepare(pool);
      engines_.push_back(own_.back().get());
      progress.update(static_cast<int64_t>(own_.size()));
    }
    progress.finish();
  }

  int64_t left_ns() const { return std::max<int64_t>(1, deadline_ - now_ns()); }
  double left_s() const { return static_cast<double>(left_ns()) * 1e-9; }

  // One worker until its times settle; then all together, which is what they will have to do.
  void warm_up_workers() {
    Progress& progress = console_.progress();
    progress.start("warming up", 0, "iterations");
    progress.pause();
    WarmUpOptions options;
    options.min_ns = std::min(options.min_ns, request_.max_ns / 20);
    options.max_ns = std::min(options.max_ns, request_.max_ns / 5);
    int64_t done = 0;
    Conduct conduct;
    conduct.interrupted = [&] {
      progress.resume();
      progress.update(done);
      progress.pause();
      return interrupted();
    };
    load_.warm_up = warm_up(
        [&](size_t iteration) {
          engines_.front()->execute(iteration);
          ++done;
        },
        options, conduct);
    progress.resume();
    progress.finish();
    if (interrupted()) return;
    StreamsOptions together;
    together.streams = load_.plan.streams;
    together.max_ns = std::min<int64_t>(1'000'000'000, request_.max_ns / 10);
    const StreamsResult seen = run_streams(each_stream(), together, quiet_);
    load_.capacity_per_s = seen.iterations_per_s * static_cast<double>(load_.batch.max_batch);
    console_.detail(fmt::format("{} worker{}: {:.4g} queries/s without a queue", engines_.size(),
                                engines_.size() == 1 ? "" : "s", load_.capacity_per_s));
  }

  StreamRunnable each_stream() {
    return [this](size_t stream, size_t iteration) { engines_[stream]->execute(iteration); };
  }

  BatchRunnable each_batch() {
    return [this](size_t worker, size_t first, size_t) {
      engines_[worker]->execute(first / load_.batch.max_batch);
    };
  }

  // How many queries: asked, or some seconds and what the percentiles need, but no more than the
  // workers can answer in the time that is left.
  size_t queries_at(double rate_per_s, size_t enough) const {
    if (options_.iterations > 0) return static_cast<size_t>(options_.iterations);
    const double wanted = std::max(static_cast<double>(samples_for_gates(request_.gates, enough)),
                                   rate_per_s * kUsualSeconds);
    const double possible = 0.9 * left_s() * std::min(rate_per_s, load_.capacity_per_s);
    return static_cast<size_t>(
        std::clamp(std::min(wanted, possible), 1.0, static_cast<double>(kMaxQueries)));
  }

  OpenLoopOptions open_options(int64_t max_ns) const {
    OpenLoopOptions options;
    options.workers = load_.plan.streams;
    options.batch = load_.batch;
    options.slo_ns = load_.plan.slo_ns;
    options.max_ns = max_ns;
    return options;
  }

  void take_open(const std::vector<int64_t>& due_ns) {
    load_.open = run_open_loop(due_ns, each_batch(), open_options(left_ns()), quiet_);
    const OpenLoopResult& open = *load_.open;
    load_.latency_ns = open.latency_ns;
    load_.service_ns = open.service_ns;
    // Batches are claimed in order and each claimed one ends: the answered queries are the first.
    std::vector<double> answered;
    for (size_t i = 0; i < open.latency_ns.size(); ++i)
      answered.push_back(static_cast<double>(due_ns[i]) + open.latency_ns[i]);
    load_.throughput =
        rate_of_answers(answered, static_cast<double>(open.time_ns), load_.items_per_query);
  }

  void run_server() {
    const double start = load_.plan.rate_per_s.value_or(load_.capacity_per_s / 2);
    load_.rate_per_s = std::clamp(start, 1e-3, 1e6);
    if (load_.plan.find_peak) search_peak();
    if (interrupted()) return;
    ArrivalOptions arrivals;
    arrivals.arrival = load_.plan.arrival;
    arrivals.rate_per_s = *load_.rate_per_s;
    arrivals.max_queries = queries_at(*load_.rate_per_s, 2 * samples_needed(0.99));
    arrivals.issue_ns = left_ns();
    arrivals.seed = options_.common.seed;
    console_.detail(fmt::format("{} queries at {:.4g}/s", arrivals.max_queries, *load_.rate_per_s));
    take_open(schedule_arrivals(arrivals));
  }

  void search_peak() {
    PeakSearchOptions search;
    search.slo_ns = *load_.plan.slo_ns;
    search.first_rate_per_s = *load_.rate_per_s;
    search.min_rate_per_s = search.first_rate_per_s / 1024;
    search.max_ns = left_ns() / 4 * 3;
    search.seed = options_.common.seed;
    // Queries behind one stall count as one: at least two seconds of them.
    search.queries =
        options_.iterations > 0
            ? static_cast<size_t>(options_.iterations)
            : std::max(2 * samples_needed(search.percentile),
                       static_cast<size_t>(2 * std::min(search.first_rate_per_s, 1e5)));
    const LoadTrial trial =
        server_trial(each_batch(), load_.plan.arrival, open_options(search.max_ns), quiet_);
    int64_t trials = 0;
    load_.peak = find_peak(
        [&](const LoadRequest& request) {
          Progress& progress = console_.progress();
          progress.resume();
          progress.update(trials++, fmt::format("now {:.4g} queries/s", request.rate_per_s));
          progress.pause();
          return trial(request);
        },
        search, quiet_);
    for (const PeakTrial& each : load_.peak->trials)
      load_.rate_per_s = std::min(*load_.rate_per_s, each.rate_per_s);
    if (load_.peak->rate_per_s) load_.rate_per_s = load_.peak->rate_per_s;
  }

  void run_offline() {
    size_t queries = queries_at(load_.capacity_per_s, 64);
    const size_t batch = load_.batch.max_batch;
    if (options_.iterations <= 0 && queries + batch <= kMaxQueries)
      queries = (queries + batch - 1) / batch * batch;
    take_open(schedule_at_once(queries));
  }

  void run_multi() {
    StreamsOptions options;
    options.streams = load_.plan.streams;
    options.lockstep = load_.plan.lockstep;
    options.max_ns = left_ns();
    if (options_.iterations > 0) {
      options.iterations = static_cast<size_t>(options_.iterations);
    } else {
      const double needed = static_cast<double>(samples_for_gates(request_.gates, 64));
      const double seconds = 1.5 * needed / std::max(load_.capacity_per_s, 1e-6);
      options.max_ns =
          std::min(options.max_ns,
                   std::max(kUsualStreamsNs, static_cast<int64_t>(std::min(seconds, 1e6) * 1e9)));
    }
    load_.streams = run_streams(each_stream(), options, quiet_);
    const StreamsResult& result = *load_.streams;
    std::vector<double> answered;
    size_t longest = 0;
    for (const Samples& samples : result.streams) {
      longest = std::max(longest, samples.latency_ns.size());
      double moment = 0;
      for (const double ns : samples.latency_ns) answered.push_back(moment += ns);
    }
    for (size_t i = 0; i < longest; ++i)
      for (const Samples& samples : result.streams)
        if (i < samples.latency_ns.size()) load_.latency_ns.push_back(samples.latency_ns[i]);
    load_.service_ns = load_.latency_ns;
    if (!result.joint_ns.empty()) {
      load_.joint = summarize(result.joint_ns);
      answered.clear();
      double moment = 0;
      for (const double ns : result.joint_ns)
        answered.insert(answered.end(), options.streams, moment += ns);
    }
    std::sort(answered.begin(), answered.end());
    load_.throughput = rate_of_answers(answered, static_cast<double>(result.time_ns), items_);
  }

  const BenchRequest& request_;
  const BenchOptions& options_;
  const BenchSubject& subject_;
  double items_;
  Console& console_;
  Profile profile_;
  Conduct quiet_;
  int64_t deadline_ = 0;
  std::vector<std::unique_ptr<Engine>> own_;
  std::vector<Engine*> engines_;
  BenchLoad load_;
};

}  // namespace

BenchLoad run_load(const BenchRequest& request, const BenchOptions& options,
                   const BenchSubject& subject, const std::vector<std::vector<Tensor>>& pool,
                   int64_t items, int threads, Console& console,
                   const std::function<void(std::string_view)>& phase) {
  return LoadRun(request, options, subject, items, console).run(pool, threads, phase);
}

}  // namespace lathe
