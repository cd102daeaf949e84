#include "tracing/layer_times.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/error.h"
#include "os/signals.h"
#include "tracing/layer_key.h"
#include "tracing/op_profile_cost.h"

namespace lathe {
namespace {

// What one run says of equal layers.
struct RunSum {
  double ns = 0;
  size_t calls = 0;
};

}  // namespace

LayerTimes::LayerTimes(MakeEngine make_engine, std::vector<Tensor> inputs,
                       LayerTimesOptions options, Conduct conduct)
    : make_engine_(std::move(make_engine)),
      inputs_(std::move(inputs)),
      options_(options),
      conduct_(std::move(conduct)) {}

double LayerTimes::total_ns(const Graph& graph) {
  std::vector<Shape> shapes;
  for (const Tensor& input : inputs_) shapes.push_back(input.shape());
  const Graph shaped = with_input_shapes(graph, shapes);
  const std::vector<NodeId> order = shaped.order();
  KeyOfNode keys;
  bool complete = true;
  for (const NodeId id : order) {
    const auto slot = static_cast<size_t>(id.index);
    if (slot >= keys.size()) keys.resize(slot + 1);
    keys[slot] = layer_key(shaped, id).value_or("");
    complete = complete && !keys[slot].empty() && table_.contains(keys[slot]);
  }
  double total = complete ? 0 : measure(graph, order, keys);
  for (auto& [key, layer] : table_) layer.nodes = 0;
  for (const NodeId id : order) {
    const auto found = table_.find(keys[static_cast<size_t>(id.index)]);
    if (found == table_.end()) continue;
    ++found->second.nodes;
    total += found->second.ns;
  }
  return total;
}

double LayerTimes::measure(const Graph& graph, const std::vector<NodeId>& order,
                           const KeyOfNode& keys) {
  const std::unique_ptr<Engine> engine = make_engine_(graph);
  engine->prepare({inputs_});
  engine->execute(0);
  ++measured_networks_;

  std::map<std::string, LayerTime> added;
  for (const NodeId id : order) {
    const std::string& key = keys[static_cast<size_t>(id.index)];
    if (key.empty() || table_.contains(key)) continue;
    // Nodes that the engine computes once, when it is made, are never seen running: they are free.
    LayerTime& layer = added[key];
    layer.type = std::string(graph.node(id).type_name());
    layer.ns = std::numeric_limits<double>::infinity();
  }
  std::map<std::string, RunSum> run;
  double keyless = 0;
  double least_keyless = std::numeric_limits<double>::infinity();
  const bool observes = engine->observe([&](NodeId id, int64_t duration_ns) {
    const std::string& key = keys[static_cast<size_t>(id.index)];
    const auto ns = static_cast<double>(duration_ns);
    if (key.empty()) {
      keyless += ns;
    } else if (added.contains(key)) {
      RunSum& sum = run[key];
      sum.ns += ns;
      ++sum.calls;
    }
  });
  if (!observes) throw InternalError("LayerTimes: the engine does not tell the times of its nodes");
  const auto sum_of_least = [&] {
    double sum = least_keyless;
    for (const auto& [key, layer] : added)
      if (std::isfinite(layer.ns)) sum += layer.ns;
    return sum;
  };
  const int64_t start = conduct_.clock();
  size_t next_look = std::max<size_t>(1, options_.min_runs);
  double last_sum = std::numeric_limits<double>::infinity();
  for (size_t i = 1;; ++i) {
    if (conduct_.interrupted()) throw_if_interrupted();
    run.clear();
    keyless = 0;
    engine->execute(i);
    ++runs_;
    least_keyless = std::min(least_keyless, keyless);
    for (const auto& [key, sum] : run) {
      double& least = added.at(key).ns;
      least = std::min(least, sum.ns / static_cast<double>(sum.calls));
    }
    if (i < options_.min_runs) continue;
    const int64_t elapsed = conduct_.clock() - start;
    if (elapsed >= options_.max_ns) break;
    if (i < next_look) continue;
    const double sum = sum_of_least();
    if (elapsed >= options_.min_ns && sum >= (1 - options_.agreement) * last_sum) break;
    last_sum = sum;
    next_look = 2 * i;
  }
  for (auto& [key, layer] : added) {
    if (!std::isfinite(layer.ns)) layer.ns = 0;
    table_.emplace(key, std::move(layer));
  }
  return least_keyless;
}

}  // namespace lathe
