// Where a training went wrong.
#pragma once

#include <string>

#include "ir/error.h"
#include "train/batch.h"
#include "train/optimizer.h"

namespace lathe {

/// The first place where NaN or infinity appears for a batch.
struct FirstBad {
  int64_t order = 0;  // 0: an input; then in order of execution
  std::string where;
};

/// Runs the graph once more. Never throws for numbers; the loss is to blame when all are finite.
FirstBad first_not_finite(TrainableGraph& graph, const Batch& batch);

/// For a loss that gives no parameter a gradient: exit 3, the op without derivative named.
Error no_gradient(const TrainableGraph& graph);

/// "3 of 8 parameters are not trained: node Round_4 (Round) has no derivative"; empty: all are.
/// Autograd gives such parameters zeros, which say nothing. Throws no_gradient() when they are all.
std::string untrained_parameters(const TrainableGraph& graph);

}  // namespace lathe
