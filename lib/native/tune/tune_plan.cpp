#include "tune/tune_plan.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "engine/timed_plan.h"
#include "run/threads.h"
#include "tune/choose_candidates.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

bool is_integer_product(const PlanStep& step) {
  return std::holds_alternative<ProductStep>(step.kind) ||
         std::holds_alternative<DepthwiseStep>(step.kind);
}

/// "" for steps that no node of the graph stands for.
const std::string& name_of(const PlanStep& step) {
  static const std::string none;
  return step.nodes.empty() ? none : step.nodes.front();
}

using Choices = std::map<std::string, StepChoice>;

/// The same for a step of another plan that computes the same.
std::string key_of(const PlanStep& step) {
  return std::string(step_name(step.kind)) + " " + name_of(step);
}

Choices choices_of(const NativePlan& plan) {
  Choices choices;
  for (const PlanStep& step : plan.steps)
    if (step.choice != StepChoice{} && !name_of(step).empty()) choices[key_of(step)] = step.choice;
  return choices;
}

void take_choices(NativePlan& plan, const Choices& choices) {
  for (PlanStep& step : plan.steps) {
    const auto found = choices.find(key_of(step));
    if (found != choices.end()) step.choice = found->second;
  }
}

class Tuner {
 public:
  Tuner(const std::vector<Tensor>& inputs, const TuneOptions& options)
      : inputs_(inputs), options_(options), start_(Clock::now()) {
    program_options_.threads = thread_count();
  }

  int threads() const { return program_options_.threads; }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  int64_t runs() const { return runs_; }
  bool out_of_time() const { return out_of_time_; }

  /// Gives the plan's steps their choices. Returns what has changed.
  std::vector<TunedStep> choose(LoweredGraph& lowered) {
    const Implementations present = implementations_in(lowered);
    std::map<size_t, TunedStep> changed;
    choose_implementations(lowered, present, changed);
    if (threads() > 1)
      for (const size_t odd : {0, 1}) choose_threads(lowered, odd, present.names, changed);
    std::vector<TunedStep> rows;
    for (auto& [step, row] : changed) rows.push_back(std::move(row));
    return rows;
  }

  /// Times of a run of two plans, taken in turns.
  PairedTimes compare(const LoweredGraph& now, const LoweredGraph& other,
                      const std::string& stage) {
    TimedPlan a(now, inputs_, program_options_);
    TimedPlan b(other, inputs_, program_options_);
    const int64_t once = 2 * (least_run(a) + least_run(b));
    return in_turns(stage, once, [&](bool is_other) {
      TimedPlan& timed = is_other ? b : a;
      // The first run brings back to the caches what the other plan has replaced.
      const int64_t first = timed.run();
      return std::min(first, timed.run());
    });
  }

  /// The same of a plan without and with its choices, in the same memory.
  PairedTimes compare_choices(const LoweredGraph& chosen, const std::string& stage) {
    ProgramOptions options = program_options_;
    LoweredGraph plain = chosen;
    for (size_t i = 0; i < plain.plan.steps.size(); ++i) {
      StepChoice& choice = plain.plan.steps[i].choice;
      if (choice != StepChoice{}) options.alternatives[i] = {choice};
      choice = {};
    }
    TimedPlan timed(plain, inputs_, options);
    return in_turns(stage, 2 * least_run(timed), [&](bool is_other) {
      for (const auto& [step, choices] : options.alternatives)
        timed.program().choose(step, is_other ? 1 : 0);
      return timed.run();
    });
  }

  /// Lower quartiles of the steps' times, by the first node's name.
  std::map<std::string, int64_t> step_times(const LoweredGraph& lowered, const std::string& stage) {
    TimedPlan timed(lowered, inputs_, program_options_);
    std::vector<std::vector<int64_t>> times(lowered.plan.steps.size());
    const int64_t once = least_run(timed);
    const auto rounds =
        static_cast<size_t>(std::clamp<int64_t>(kPairsNs / 2 / std::max<int64_t>(once, 1), 8, 40));
    for (size_t round = 0; round < rounds; ++round) {
      step(stage, round, rounds);
      const std::vector<int64_t> taken = timed.run_steps();
      for (size_t i = 0; i < times.size(); ++i) times[i].push_back(taken[i]);
    }
    std::map<std::string, int64_t> quartiles;
    for (size_t i = 0; i < times.size(); ++i)
      if (!name_of(lowered.plan.steps[i]).empty())
        quartiles.emplace(name_of(lowered.plan.steps[i]), lower_quartile(times[i]));
    return quartiles;
  }

  bool keep_on() {
    if (std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count() <
        options_.budget_ns)
      return true;
    out_of_time_ = true;
    return false;
  }

 private:
  /// `run`: of the other or not; `once`: what a pair takes.
  template <class Run>
  PairedTimes in_turns(const std::string& stage, int64_t once, const Run& run) {
    const auto pairs =
        static_cast<size_t>(std::clamp<int64_t>(kPairsNs / std::max<int64_t>(once, 1), 12, 100));
    PairedTimes times;
    for (size_t i = 0; i < pairs; ++i) {
      step(stage, i, pairs);
      // Either follows the other as often as it leads.
      const bool turned = i % 2 != 0;
      const int64_t first = run(turned);
      const int64_t second = run(!turned);
      times.now_ns.push_back(turned ? second : first);
      times.other_ns.push_back(turned ? first : second);
    }
    return times;
  }

  static constexpr int64_t kPairsNs = 2'000'000'000;    // to compare two plans
  static constexpr int64_t kSamplesNs = 4'000'000'000;  // to look at all candidates once

  /// The first run finds cold memory and sleeping threads.
  static int64_t least_run(TimedPlan& timed) {
    const int64_t first = timed.run();
    return std::min({first, timed.run(), timed.run()});
  }

  void step(const std::string& stage, size_t done, size_t all) {
    options_.progress(stage, done, all);
    ++runs_;
  }

  /// What each step is computed with, and the others that it could be computed with.
  struct Implementations {
    std::vector<std::string> names;
    std::map<size_t, std::vector<StepChoice>> others;
  };

  Implementations implementations_in(const LoweredGraph& lowered) {
    TimedPlan timed(lowered, inputs_, program_options_);
    Implementations found;
    for (size_t i = 0; i < lowered.plan.steps.size(); ++i) {
      found.names.emplace_back(timed.program().implementation(i));
      for (std::string& name : timed.program().implementations(i))
        if (!found.names[i].starts_with(name)) found.others[i].push_back({std::move(name), 0});
    }
    return found;
  }

  ChooseOptions choose_options(int64_t run_ns, size_t candidates) {
    ChooseOptions choose;
    const int64_t run = std::max<int64_t>(run_ns, 1);
    choose.samples = static_cast<int>(
        std::clamp<int64_t>(kSamplesNs / run / static_cast<int64_t>(candidates), 6, 40));
    choose.pairs = static_cast<int>(std::clamp<int64_t>(kSamplesNs / 2 / run, 12, 60));
    choose.keep_on = [this] { return keep_on(); };
    return choose;
  }

  static TunedStep& row_of(std::map<size_t, TunedStep>& changed, const NativePlan& plan,
                           size_t step, const std::string& before) {
    TunedStep& row = changed[step];
    if (!row.kind.empty()) return row;
    row.node = name_of(plan.steps[step]);
    row.kind = step_name(plan.steps[step].kind);
    row.before = row.after = before;
    return row;
  }

  void choose_implementations(LoweredGraph& lowered, const Implementations& present,
                              std::map<size_t, TunedStep>& changed) {
    NativePlan& plan = lowered.plan;
    const std::vector<std::string>& names = present.names;
    ProgramOptions options = program_options_;
    options.alternatives = present.others;
    if (options.alternatives.empty()) return;
    TimedPlan timed(lowered, inputs_, options);
    // What is bound may be what is there.
    std::vector<size_t> steps;
    std::vector<std::vector<size_t>> candidates;  // of `steps`: numbers for Program::choose
    std::map<std::pair<size_t, size_t>, std::string> bound;
    for (const auto& [step, choices] : options.alternatives) {
      std::vector<size_t> usable{0};
      for (size_t candidate = 1; candidate <= choices.size(); ++candidate) {
        timed.program().choose(step, candidate);
        std::string name(timed.program().implementation(step));
        if (name != names[step]) usable.push_back(candidate);
        bound[{step, candidate}] = std::move(name);
      }
      timed.program().choose(step, 0);
      if (usable.size() == 1) continue;
      steps.push_back(step);
      candidates.push_back(std::move(usable));
    }
    if (steps.empty()) return;
    std::vector<size_t> counts;
    for (const std::vector<size_t>& usable : candidates) counts.push_back(usable.size());
    const size_t most = *std::max_element(counts.begin(), counts.end());
    const ChooseOptions choose = choose_options(least_run(timed), most);
    const size_t all =
        most * static_cast<size_t>(choose.samples) + 2 * static_cast<size_t>(choose.pairs) + 1;
    size_t done = 0;
    const auto run = [&](const std::vector<size_t>& taken) {
      this->step("trying implementations", done++, all);
      for (size_t i = 0; i < steps.size(); ++i)
        timed.program().choose(steps[i], candidates[i][taken[i]]);
      const std::vector<int64_t> times = timed.run_steps();
      std::vector<int64_t> mine;
      for (const size_t step : steps) mine.push_back(times[step]);
      return mine;
    };
    const std::vector<ChosenCandidate> chosen = choose_candidates(counts, run, choose);
    for (size_t i = 0; i < steps.size(); ++i) {
      if (chosen[i].candidate == 0) continue;
      const size_t step = steps[i];
      TunedStep& row = row_of(changed, plan, step, names[step]);
      row.after = bound.at({step, candidates[i][chosen[i].candidate]});
      row.before_ns = chosen[i].before_ns;
      row.after_ns = chosen[i].after_ns;
      plan.steps[step].choice.implementation = row.after;
    }
  }

  /// Steps that are not worth waking other threads for. A thread that slept is woken by the next
  /// step, so the time of that counts, and every other step keeps still.
  void choose_threads(LoweredGraph& lowered, size_t odd, const std::vector<std::string>& names,
                      std::map<size_t, TunedStep>& changed) {
    NativePlan& plan = lowered.plan;
    ProgramOptions options = program_options_;
    std::vector<size_t> steps;
    for (size_t i = odd; i < plan.steps.size(); i += 2) {
      if (std::holds_alternative<FallbackStep>(plan.steps[i].kind)) continue;
      options.alternatives[i] = {{plan.steps[i].choice.implementation, 1}};
      steps.push_back(i);
    }
    if (steps.empty()) return;
    TimedPlan timed(lowered, inputs_, options);
    const ChooseOptions choose = choose_options(least_run(timed), 2);
    const size_t all = 2 * static_cast<size_t>(choose.samples + choose.pairs) + 1;
    size_t done = 0;
    const auto run = [&](const std::vector<size_t>& candidates) {
      this->step("trying threads", done++, all);
      for (size_t i = 0; i < steps.size(); ++i) timed.program().choose(steps[i], candidates[i]);
      const std::vector<int64_t> times = timed.run_steps();
      std::vector<int64_t> mine;
      for (const size_t step : steps)
        mine.push_back(times[step] + (step + 1 < times.size() ? times[step + 1] : 0));
      return mine;
    };
    const std::vector<ChosenCandidate> chosen =
        choose_candidates(std::vector<size_t>(steps.size(), 2), run, choose);
    for (size_t i = 0; i < steps.size(); ++i) {
      if (chosen[i].candidate == 0) continue;
      const size_t step = steps[i];
      TunedStep& row = row_of(changed, plan, step, names[step]);
      row.threads = 1;
      // Else the row has its own step's times.
      if (row.before_ns == 0) {
        row.before_ns = chosen[i].before_ns;
        row.after_ns = chosen[i].after_ns;
      }
      plan.steps[step].choice.threads = 1;
    }
  }

  const std::vector<Tensor>& inputs_;
  const TuneOptions& options_;
  Clock::time_point start_;
  ProgramOptions program_options_;
  int64_t runs_ = 0;
  bool out_of_time_ = false;
};

/// Layers that are in integers though they need not be.
std::set<std::string> integer_layers(const NativePlan& plan) {
  std::set<std::string> layers;
  for (const PlanStep& step : plan.steps)
    if (is_integer_product(step) && !name_of(step).empty()) layers.insert(name_of(step));
  return layers;
}

/// Whole plans are steadier than single steps, and float weights take four times the memory.
constexpr WinRule kPlanWin{0.01, 1000, 0.75};
constexpr WinRule kPlanLoss{0.005, 1000, 0.6};

/// The same with other layers in float.
LowerOptions in_float(LowerOptions options, const std::set<std::string>& nodes) {
  options.float_nodes = nodes;
  return options;
}

std::vector<FloatLayer> float_layers(const Graph& fixed, const LowerOptions& lower,
                                     const Choices& choices, Tuner& tuner) {
  LoweredGraph integer = lower_graph(fixed, lower);
  take_choices(integer.plan, choices);
  const std::set<std::string> candidates = integer_layers(integer.plan);
  if (candidates.empty() || !tuner.keep_on()) return {};
  const std::string stage = "trying float";
  const auto now = tuner.step_times(integer, stage);
  const auto floats = tuner.step_times(lower_graph(fixed, in_float(lower, candidates)), stage);
  std::vector<FloatLayer> layers;
  for (const std::string& node : candidates)
    if (floats.contains(node)) layers.push_back({node, now.at(node), floats.at(node)});
  const std::vector<FloatLayer> all = layers;
  const auto lowered = [&](const std::set<std::string>& nodes) {
    LoweredGraph made = lower_graph(fixed, in_float(lower, nodes));
    take_choices(made.plan, choices);
    return made;
  };
  const IsFaster is_faster = [&](const auto& nodes_now, const auto& nodes_next) {
    if (!tuner.keep_on()) return false;
    return other_wins(tuner.compare(lowered(nodes_now), lowered(nodes_next), stage), kPlanWin);
  };
  const std::set<std::string> chosen = choose_float_layers(std::move(layers), is_faster);
  std::vector<FloatLayer> rows;
  for (const FloatLayer& layer : all)
    if (chosen.contains(layer.node)) rows.push_back(layer);
  return rows;
}

}  // namespace

TunedPlan tune_plan(const Graph& graph, const SpecializeGraph& specialize,
                    const std::vector<Tensor>& inputs, const TuneOptions& options) {
  Tuner tuner(inputs, options);
  TunedPlan tuned;
  TuningFacts& facts = tuned.facts;
  const NativePlanFile plain = make_plan_file(graph, specialize, options.lower);
  tuned.made = plain;
  PlanFile& file = tuned.made.file;
  const LoweredGraph before{file.plan, partitions_of(file)};
  LoweredGraph now = before;
  facts.layers = integer_layers(now.plan).size();
  facts.changed = tuner.choose(now);
  facts.floats = float_layers(specialize(shapes_at_batch(graph, 1)), options.lower,
                              choices_of(now.plan), tuner);
  if (!facts.floats.empty()) {
    std::set<std::string> nodes;
    for (const FloatLayer& layer : facts.floats) nodes.insert(layer.node);
    tuned.made = make_plan_file(graph, specialize, in_float(options.lower, nodes));
    now = {file.plan, partitions_of(file)};
    facts.changed = tuner.choose(now);
  }
  file.plan = now.plan;
  facts.steps = file.plan.steps.size();
  const std::string stage = "comparing";
  const PairedTimes times =
      facts.floats.empty() ? tuner.compare_choices(now, stage) : tuner.compare(before, now, stage);
  facts.spread = spread(times.now_ns);
  facts.before_ns = lower_quartile(times.now_ns);
  facts.after_ns = lower_quartile(times.other_ns);
  const bool same = facts.changed.empty() && facts.floats.empty();
  // Single steps may win, and all of them together lose.
  if (same || other_wins({times.other_ns, times.now_ns}, kPlanLoss)) {
    tuned.made = plain;
    facts.changed.clear();
    facts.floats.clear();
    facts.steps = plain.file.plan.steps.size();
    facts.after_ns = facts.before_ns;
  }
  file.metadata.tuned_threads = facts.threads = tuner.threads();
  facts.runs = tuner.runs();
  facts.seconds = tuner.seconds();
  facts.out_of_time = tuner.out_of_time();
  return tuned;
}

}  // namespace lathe
