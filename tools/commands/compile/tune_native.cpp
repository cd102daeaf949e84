#include "commands/compile/tune_native.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "ir/error.h"
#include "os/host.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "verify/seeded_inputs.h"

namespace lathe {
namespace {

/// Random values of the shapes that the plan is measured with.
std::vector<Tensor> inputs_for(const Graph& graph, uint64_t seed) {
  const std::vector<Shape> shapes = shapes_at_batch(graph, 1);
  const auto fits = [&](const std::vector<Tensor>& set) {
    for (size_t i = 0; i < shapes.size(); ++i)
      if (set[i].shape() != shapes[i]) return false;
    return true;
  };
  // The last that fits: zeros and large values come first, and tell less of usual times.
  auto sets = seeded_inputs(Interpreter(graph), 1.0, seed);
  const auto found = std::find_if(sets.rbegin(), sets.rend(), fits);
  if (found == sets.rend())
    throw bad_input("native.tune", "the model takes no random inputs of batch 1", {},
                    "leave out --tune");
  return *found;
}

double gain(int64_t before_ns, int64_t after_ns) {
  return static_cast<double>(before_ns) / static_cast<double>(std::max<int64_t>(after_ns, 1));
}

}  // namespace

TunedPlan tune_native(const Graph& graph, const SpecializeGraph& specialize,
                      const LowerOptions& lower, const CompileOptions& options, Console& console) {
  TuneOptions tune;
  tune.lower = lower;
  tune.budget_ns = parse_nanoseconds(options.tune_time, "--tune-time");
  std::string shown;
  tune.progress = [&](const std::string& stage, size_t done, size_t all) {
    throw_if_interrupted();
    if (stage != shown) console.progress().start(stage, static_cast<int64_t>(all), "runs");
    shown = stage;
    console.progress().update(static_cast<int64_t>(done));
  };
  TunedPlan tuned = tune_plan(graph, specialize, inputs_for(graph, options.common.seed), tune);
  console.progress().finish();
  tuned.made.file.metadata.fingerprint = host_facts().fingerprint;
  constexpr double kSteady = 1.25;
  if (tuned.facts.spread > kSteady)
    console.warn("tune.busy",
                 fmt::format("while tuning, times of one plan varied by {}: something else ran",
                             percent_text(tuned.facts.spread - 1)),
                 "tune again on a quiet machine; how many threads pay depends on it most");
  return tuned;
}

nlohmann::json tuning_json(const TuningFacts& facts, const std::string& fingerprint) {
  nlohmann::json layers = nlohmann::json::array();
  for (const TunedStep& step : facts.changed)
    layers.push_back({{"node", escape_untrusted(step.node)},
                      {"step", step.kind},
                      {"implementation_before", step.before},
                      {"implementation", step.after},
                      {"threads", step.threads > 0 ? step.threads : facts.threads},
                      {"before_ns", step.before_ns},
                      {"after_ns", step.after_ns}});
  nlohmann::json floats = nlohmann::json::array();
  for (const FloatLayer& layer : facts.floats)
    floats.push_back({{"node", escape_untrusted(layer.node)},
                      {"integer_ns", layer.integer_ns},
                      {"float_ns", layer.float_ns}});
  return {{"fingerprint", fingerprint},
          {"threads", facts.threads},
          {"before_ns", facts.before_ns},
          {"after_ns", facts.after_ns},
          {"spread", facts.spread},
          {"steps", facts.steps},
          {"changed", std::move(layers)},
          {"integer_layers", facts.layers},
          {"float_layers", std::move(floats)},
          {"runs", facts.runs},
          {"duration_ns", static_cast<int64_t>(facts.seconds * 1e9)},
          {"out_of_time", facts.out_of_time}};
}

std::string tuning_text(const TuningFacts& facts) {
  const double ratio = gain(facts.before_ns, facts.after_ns);
  const bool kept = facts.changed.empty() && facts.floats.empty();
  std::string text = "tuned: the defaults are the fastest here";
  if (!kept)
    text = fmt::format("tuned: {}: {} of {} steps changed",
                       ratio > 1.005 ? fmt::format("{:.2f}x faster", ratio)
                                     : "steps are faster, the whole within noise",
                       facts.changed.size(), facts.steps);
  if (!facts.floats.empty())
    text += fmt::format(", {} of {} integer layers in float", facts.floats.size(), facts.layers);
  text += fmt::format("\n  {} -> {} a run, {} thread{}; {} runs in {}{}\n",
                      duration_text(static_cast<double>(facts.before_ns)),
                      duration_text(static_cast<double>(facts.after_ns)), facts.threads,
                      facts.threads == 1 ? "" : "s", facts.runs, duration_text(facts.seconds * 1e9),
                      facts.out_of_time ? "; --tune-time ended the search" : "");
  if (kept) return text;
  std::vector<TunedStep> steps = facts.changed;
  std::stable_sort(steps.begin(), steps.end(), [](const TunedStep& a, const TunedStep& b) {
    return a.before_ns - a.after_ns > b.before_ns - b.after_ns;
  });
  constexpr size_t kMostRows = 8;
  std::vector<std::vector<std::string>> rows{{"step", "before", "after", "gain"}};
  for (const TunedStep& step : steps) {
    if (rows.size() > kMostRows) break;
    const std::string name = step.node.empty() ? step.kind : step.node;
    rows.push_back({escape_untrusted(name), step.before,
                    step.after + (step.threads > 0 ? ", 1 thread" : ""),
                    fmt::format("{:.2f}x", gain(step.before_ns, step.after_ns))});
  }
  for (const FloatLayer& layer : facts.floats) {
    if (rows.size() > 2 * kMostRows) break;
    rows.push_back({escape_untrusted(layer.node), "int8", "float",
                    fmt::format("{:.2f}x", gain(layer.integer_ns, layer.float_ns))});
  }
  return text + table(rows);
}

}  // namespace lathe
