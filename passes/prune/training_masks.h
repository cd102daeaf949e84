// Masks on the parameters of a network that is trained, fixed or growing by a schedule.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "prune/channel_groups.h"
#include "prune/channel_scores.h"
#include "prune/element_masks.h"
#include "prune/sparsity_schedule.h"
#include "train/trainable_graph.h"

namespace lathe {

/// Parameters are exactly 0 from now on where the masks say so. Masks may be of graph.trained() or
/// of the graph that it was made from. Throws Error (exit 3) naming a constant that is not trained.
void set_element_masks(TrainableGraph& graph, const std::vector<ElementMask>& masks);

/// Every weight that is exactly 0 in graph.graph() stays so: what an earlier pruning left. Returns
/// how many.
int64_t mask_zeros(TrainableGraph& graph);

/// Positions of the removed channels in every kConsumes use are 0, as mask_channels() makes them,
/// so that remove_channels() on the trained graph computes the same. All groups' masks at once;
/// `groups` are of the graph that was given to `graph`. Throws Error (exit 3) for a weight that is
/// not trained or that a node outside of the group reads, too.
void set_channel_masks(TrainableGraph& graph, const std::vector<ChannelGroup>& groups,
                       const KeptChannels& kept);

/// Channels that reach nothing in `graph` (every kConsumes position is 0) get the score -1, so that
/// what was masked once goes first: masks only grow, and are found again after a resume.
void put_idle_channels_first(const Graph& graph, const std::vector<ChannelGroup>& groups,
                             std::vector<GroupScores>& scores);

/// Sets masks at every change of a schedule. For TrainOptions::on_step, and at the start.
class GradualPruning {
 public:
  /// `set` makes the masks for a sparsity from the present weights.
  using SetMasks = std::function<void(TrainableGraph&, double sparsity)>;
  GradualPruning(SparsitySchedule schedule, double final_sparsity, SetMasks set);

  /// Before the first step (0 done) and after a resume: the masks that are in force.
  void start(TrainableGraph& graph, int64_t steps_done, int64_t steps);
  /// After a step: the change that is due, if any.
  void step(TrainableGraph& graph, int64_t steps_done);
  const std::vector<SparsityChange>& changes() const { return changes_; }

 private:
  SparsitySchedule schedule_;
  double final_sparsity_;
  SetMasks set_;
  std::vector<SparsityChange> changes_;
};

}  // namespace lathe
