// Where a model's time goes, node by node. A second pass: the timed runs of a benchmark never carry
// the profiler, and what the profiler itself costs is measured and told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "statistics/sampling.h"
#include "tracing/op_profile_cost.h"

namespace lathe {

class Engine;

struct OpTime {
  NodeId node;
  std::string name;
  std::string type;
  /// How blame_ops follows a node into another graph: its first output, and the node that makes
  /// its first input that is no constant (empty: a graph input).
  std::string output;
  std::string producer;
  size_t calls = 0;
  double total_ns = 0;   // of all calls
  double median_ns = 0;  // of one call
  double share = 0;      // of the profiled runs' whole time
  OpCost cost;
};

struct OpProfile {
  /// In the order of execution; nodes that the engine never ran (constants that it folds when it
  /// is made ready) are left out.
  std::vector<OpTime> ops;
  size_t runs = 0;         // profiled ones
  double profiled_ns = 0;  // median of a run with the profiler
  double plain_ns = 0;     // median of a run without, measured in turns with the others
  /// profiled_ns / plain_ns.
  double overhead_ratio = 0;
  /// Of an average profiled run: what lies in no node (the engine's own work, the profiler's).
  double unattributed_ns = 0;
  double unattributed_share = 0;
  /// Why there are no ops ("the torchscript engine does not tell the times of its nodes").
  std::string reason;
  bool interrupted = false;
};

struct OpProfileOptions {
  size_t min_runs = 10;  // of each kind
  size_t max_runs = 1000;
  int64_t max_ns = 5'000'000'000;  // of both kinds together, after min_runs
};

/// The engine has been prepared and is warm; `graph` is the one that it was made from, `shapes`
/// those of one sample's inputs (empty: as the graph declares them; they serve the costs alone).
/// Runs in turns with and without the profiler and leaves the engine without. Errors of the engine
/// pass through.
OpProfile profile_ops(Engine& engine, const Graph& graph, std::span<const Shape> shapes,
                      const OpProfileOptions& options = {}, const Conduct& conduct = {});

/// The ops of one type together.
struct OpTypeTime {
  std::string type;
  size_t nodes = 0;
  size_t calls = 0;
  double total_ns = 0;
  double share = 0;
  int64_t bytes = 0;            // of one run
  std::optional<int64_t> macs;  // of one run; nullopt when those of one node are not known
};

/// Slowest first.
std::vector<OpTypeTime> time_by_type(const OpProfile& profile);

/// Indices into profile.ops, slowest first.
std::vector<size_t> slowest_ops(const OpProfile& profile);

}  // namespace lathe
