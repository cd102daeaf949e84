// --budget latency=50%: what a candidate's latency is, measured layer by layer on this machine or
// simulated from the profile's rates.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "console.h"
#include "profiles/profile.h"
#include "prune/measured_budget.h"
#include "tracing/layer_times.h"

namespace lathe {

struct LatencyCost {
  CostFunction ns;  // of one inference
  /// Whole runs of the pruned network against the dense one, in turns; empty when simulated.
  ConfirmShare confirm;
  bool simulated = false;
  /// "measured layer by layer, interpreter, 2 threads"; "simulated from the stated rates of profile
  /// esp32".
  std::string description;
  std::shared_ptr<LayerTimes> table;  // null when simulated
  int threads = 0;
};

/// Measured where runs_like_host(profile), with networks run on `sample` (one tensor per graph
/// input; the numeric libraries have been told their threads); else estimate_latency at the
/// sample's shapes. Throws Error (exit 2) for a profile of another device without rates, saying
/// what to do. `console` must outlive the result.
LatencyCost latency_cost(const Graph& dense, const std::vector<Tensor>& sample,
                         const Profile& profile, int threads, uint64_t seed, Console& console);

/// The plan that meets `share`; confirmed when it is measured. Shows progress. Throws as
/// plan_measured_budget does.
MeasuredPlan plan_latency(const Graph& dense, const std::vector<ChannelGroup>& groups,
                          const RemovalOrder& order, const LatencyCost& cost, double share,
                          Console& console);

/// {simulated, description, engine, threads, before_ns, after_ns, share, confirmed_share,
/// confirmations, measured_networks, runs, layers: [{layer, type, ns, nodes_before, nodes_after}]}:
/// the layers of both networks, those that cost most first, at most 500; empty when simulated.
nlohmann::json latency_cost_json(const LatencyCost& cost, const Graph& dense, const Graph& pruned,
                                 const MeasuredPlan& plan);

}  // namespace lathe
