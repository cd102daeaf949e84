// How far a training run has come, apart from its parameters.
#pragma once

#include "train/checkpoint.h"
#include "train/train.h"

namespace lathe {

struct TrainPosition {
  int64_t step = 0;       // complete
  double epoch_loss = 0;  // sum over the steps of the epoch that is not yet over
  TrainResult result;     // so far
};

/// As "train/…" and "best/…".
void put_position(const TrainPosition& position, Checkpoint& checkpoint);

/// Throws Error (exit 2) when it cannot be one of a run with these options.
TrainPosition position_of(const Checkpoint& saved, const TrainOptions& options,
                          int64_t steps_per_epoch);

}  // namespace lathe
