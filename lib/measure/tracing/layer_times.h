// How long a network's layers take on this machine, as a table that grows: for a search that asks
// for the latency of many networks which differ in a few layers each (latency tables as in Cai et
// al., "ProxylessNAS", ICLR 2019; Yang et al., "NetAdapt", ECCV 2018).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "run/engine.h"
#include "statistics/sampling.h"

namespace lathe {

/// A network with new layers is run until twice as many runs have lowered the sum of their least
/// times by less than `agreement`: a busy machine makes every run slower, until it pauses.
struct LayerTimesOptions {
  size_t min_runs = 4;  // one more before warms up
  int64_t min_ns = 50'000'000;
  double agreement = 0.02;
  int64_t max_ns = 2'000'000'000;  // after min_runs
};

struct LayerTime {
  std::string type;
  double ns = 0;     // of one execution
  size_t nodes = 0;  // in the network that was asked for last
};

class LayerTimes {
 public:
  /// Makes an engine that tells the times of its nodes (NodeObserver) for a graph.
  using MakeEngine = std::function<std::unique_ptr<Engine>(const Graph&)>;

  /// `inputs`: one tensor per graph input, what networks are run on.
  LayerTimes(MakeEngine make_engine, std::vector<Tensor> inputs, LayerTimesOptions options = {},
             Conduct conduct = {});

  /// Sum over the network's layers. Only when it holds layers that the table lacks (see
  /// layer_key.h) is it run, and only those are measured; so the same network always costs the
  /// same, and two networks differ by their differing layers alone. Layers without a key are
  /// measured each time. What stands between the layers is not counted. A layer's time is the
  /// least over the runs, of equal layers within one network their mean of each run. Errors of the
  /// engine pass through; exit 130 or 143 when interrupted.
  double total_ns(const Graph& graph);

  /// By layer key.
  const std::map<std::string, LayerTime>& table() const { return table_; }
  /// Networks that had to be run, and how often they were run in all.
  size_t measured_networks() const { return measured_networks_; }
  size_t runs() const { return runs_; }

 private:
  using KeyOfNode = std::vector<std::string>;  // by NodeId::index; empty: no key

  /// Adds what the table lacks; returns the time of the layers without a key.
  double measure(const Graph& graph, const std::vector<NodeId>& order, const KeyOfNode& keys);

  MakeEngine make_engine_;
  std::vector<Tensor> inputs_;
  LayerTimesOptions options_;
  Conduct conduct_;
  std::map<std::string, LayerTime> table_;
  size_t measured_networks_ = 0;
  size_t runs_ = 0;
};

}  // namespace lathe
