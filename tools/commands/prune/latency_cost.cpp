#include "commands/prune/latency_cost.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "comparison/comparison.h"
#include "ir/error.h"
#include "names/engines.h"
#include "os/host.h"
#include "os/signals.h"
#include "profile_device.h"
#include "report/report.h"
#include "roofline/estimate.h"
#include "run/interpreter_engine.h"
#include "tracing/op_profile_cost.h"

namespace lathe {
namespace {

using nlohmann::json;

constexpr size_t kMostLayers = 500;
constexpr double kLeastConfirmNs = 2e9;
constexpr double kMostConfirmNs = 1.2e10;
// Times of the dense network; on an idle machine the pairs are done after a quarter of it.
constexpr double kConfirmRuns = 300;

Conduct interruptible() {
  Conduct conduct;
  conduct.interrupted = [] { return interrupted(); };
  return conduct;
}

// Isa flags that the profile names and the host does not have.
std::string missing_isa(const Profile& profile) {
  const std::vector<std::string> isa = host_facts().isa;
  std::string missing;
  for (const std::string& flag : profile.cpu.isa)
    if (std::find(isa.begin(), isa.end(), flag) == isa.end())
      missing += (missing.empty() ? "" : ", ") + escape_untrusted(flag);
  return missing;
}

// The dense network, made ready once, that every candidate is confirmed against.
class Confirmation {
 public:
  Confirmation(const Graph& dense, std::vector<Tensor> sample, uint64_t seed)
      : dense_(dense), sample_(std::move(sample)), seed_(seed) {
    dense_.prepare({sample_});
  }

  std::optional<double> share(const Graph& graph, double dense_ns) {
    InterpreterEngine pruned(graph);
    pruned.prepare({sample_});
    ComparisonOptions options;
    options.looks = 1;
    options.pairs = 10;
    options.seed = seed_;
    options.max_ns =
        static_cast<int64_t>(std::clamp(kConfirmRuns * dense_ns, kLeastConfirmNs, kMostConfirmNs));
    options.warm_up.min_iterations = 2;
    options.warm_up.min_ns = 0;
    options.warm_up.max_ns = options.max_ns / 20;
    const Comparison comparison =
        compare_runs([&](size_t i) { dense_.execute(i); }, [&](size_t i) { pruned.execute(i); },
                     options, interruptible());
    throw_if_interrupted();
    return comparison.ratio;
  }

 private:
  InterpreterEngine dense_;
  std::vector<Tensor> sample_;
  uint64_t seed_;
};

// Nothing is drawn on the terminal while one lives.
class Quiet {
 public:
  explicit Quiet(Progress& progress) : progress_(progress) { progress_.pause(); }
  ~Quiet() { progress_.resume(); }

 private:
  Progress& progress_;
};

LatencyCost measured_cost(const Graph& dense, const std::vector<Tensor>& sample,
                          const Profile& profile, int threads, uint64_t seed, Console& console) {
  LatencyCost cost;
  cost.threads = threads;
  cost.description = fmt::format("measured layer by layer, interpreter, {} thread{}", threads,
                                 threads == 1 ? "" : "s");
  if (const std::string missing = missing_isa(profile); !missing.empty())
    cost.description +=
        fmt::format(" (this host lacks {} of profile {})", missing, escape_untrusted(profile.name));
  const auto make = [](const Graph& graph) { return std::make_unique<InterpreterEngine>(graph); };
  cost.table = std::make_shared<LayerTimes>(make, sample, LayerTimesOptions{}, interruptible());
  cost.ns = [table = cost.table, &console](const Graph& graph) {
    throw_if_interrupted();
    console.progress().update(static_cast<int64_t>(table->measured_networks()));
    const Quiet quiet(console.progress());
    return table->total_ns(graph);
  };
  cost.confirm = [confirmation = std::make_shared<Confirmation>(dense, sample, seed), dense,
                  table = cost.table, &console](const Graph& graph) {
    const Quiet quiet(console.progress());
    return confirmation->share(graph, table->total_ns(dense));
  };
  return cost;
}

LatencyCost simulated_cost(const std::vector<Tensor>& sample, const Profile& profile) {
  LatencyCost cost;
  cost.simulated = true;
  cost.description =
      fmt::format("simulated from the {} rates of profile {}",
                  escape_untrusted(profile.rates->source), escape_untrusted(profile.name));
  std::vector<Shape> shapes;
  for (const Tensor& input : sample) shapes.push_back(input.shape());
  cost.ns = [shapes, rates = profile_rates(profile)](const Graph& graph) {
    throw_if_interrupted();
    return simulated_latency_ns(with_input_shapes(graph, shapes), rates);
  };
  return cost;
}

struct LayerCount {
  LayerTime layer;
  size_t before = 0;
  size_t after = 0;
  double total_ns() const { return layer.ns * static_cast<double>(before + after); }
};

json layer_rows(LayerTimes& table, const Graph& dense, const Graph& pruned) {
  std::map<std::string, LayerCount> counts;
  table.total_ns(dense);
  for (const auto& [key, layer] : table.table())
    if (layer.nodes > 0) counts[key] = {layer, layer.nodes, 0};
  table.total_ns(pruned);
  for (const auto& [key, layer] : table.table())
    if (layer.nodes > 0) {
      counts[key].layer = layer;
      counts[key].after = layer.nodes;
    }
  std::vector<std::pair<std::string, LayerCount>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second.total_ns() > b.second.total_ns();
  });
  if (sorted.size() > kMostLayers) sorted.resize(kMostLayers);
  json rows = json::array();
  for (const auto& [key, count] : sorted)
    rows.push_back({{"layer", key},
                    {"type", escape_untrusted(count.layer.type)},
                    {"ns", count.layer.ns},
                    {"nodes_before", count.before},
                    {"nodes_after", count.after}});
  return rows;
}

}  // namespace

LatencyCost latency_cost(const Graph& dense, const std::vector<Tensor>& sample,
                         const Profile& profile, int threads, uint64_t seed, Console& console) {
  if (runs_like_host(profile)) return measured_cost(dense, sample, profile, threads, seed, console);
  if (profile.rates) return simulated_cost(sample, profile);
  throw bad_usage(
      "prune.no_rates",
      fmt::format("profile {} describes another device ({}) and states no rates, so that its "
                  "latency can be neither measured nor simulated here",
                  escape_untrusted(profile.name), escape_untrusted(profile.cpu.arch)),
      "--budget latency",
      "add \"rates\" to the profile, take the profile of this machine, or a budget of macs");
}

MeasuredPlan plan_latency(const Graph& dense, const std::vector<ChannelGroup>& groups,
                          const RemovalOrder& order, const LatencyCost& cost, double share,
                          Console& console) {
  constexpr std::string_view kWhat = "latency";
  MeasuredPlan result;
  console.progress().start("searching", 0, "networks measured");
  if (cost.simulated)
    result.plan = plan_budget(dense, groups, order, cost.ns, share, kWhat);
  else
    result = plan_measured_budget(dense, groups, order, cost.ns, cost.confirm, share, kWhat);
  console.progress().finish();
  return result;
}

json latency_cost_json(const LatencyCost& cost, const Graph& dense, const Graph& pruned,
                       const MeasuredPlan& plan) {
  const double before = cost.ns(dense);
  const double after = cost.ns(pruned);
  json out{{"simulated", cost.simulated}, {"description", cost.description},
           {"before_ns", before},         {"after_ns", after},
           {"share", after / before},     {"confirmations", plan.confirmations},
           {"layers", json::array()}};
  put_or_reason(out, "confirmed_share", plan.confirmed_share,
                cost.simulated           ? "simulated"
                : plan.plan.removed == 0 ? "nothing was removed"
                                         : "too few alternating runs in the time");
  if (cost.simulated) return out;
  out["engine"] = kInterpreterEngine;
  out["threads"] = cost.threads;
  out["measured_networks"] = cost.table->measured_networks();
  out["runs"] = cost.table->runs();
  out["layers"] = layer_rows(*cost.table, dense, pruned);
  return out;
}

}  // namespace lathe
