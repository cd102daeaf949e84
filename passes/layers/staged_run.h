// Runs a graph's nodes in stages over the same samples while its constants are edited between the
// stages: what is behind a stage is not computed again as long as memory holds its activations.
// What DequantizeLinear made is held as the integers it was made of.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "run/sample_runner.h"

namespace lathe {

struct StageOptions {
  int threads = 1;
  int64_t cache_bytes = int64_t{1} << 30;
  std::function<void()> check;
};

/// Stages must be visited in ascending order, and nodes of an earlier stage must not change after a
/// later one was visited.
class StagedRun {
 public:
  /// `graph` lives as long as this. The order of its nodes is fixed here; nodes may not be added.
  /// `source` has no carried values.
  StagedRun(const Graph& graph, const SampleSource& source, StageOptions options);

  /// Computes `watched`, values of the graph's inputs, of nodes before position `stage` of order()
  /// and of the node at it, for all samples and hands them to `visit` (called from several threads, once a
  /// sample). Samples come in portions of `portion`; `after(begin, end)` is called behind each, in
  /// order, on the calling thread.
  void visit_all(
      size_t stage, const std::vector<ValueId>& watched, size_t portion,
      const std::function<void(size_t sample, const std::vector<RuntimeValue>& values)>& visit,
      const std::function<void(size_t begin, size_t end)>& after);

  const std::vector<NodeId>& order() const { return order_; }

 private:
  std::vector<ValueId> frontier(size_t stage) const;
  std::vector<Tensor> known(size_t sample) const;

  const Graph& graph_;
  const SampleSource& source_;
  StageOptions options_;
  std::vector<NodeId> order_;
  std::vector<ValueId> cached_values_;       // empty: the graph's inputs
  std::vector<std::vector<Tensor>> cached_;  // by sample
};

}  // namespace lathe
