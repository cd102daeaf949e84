// Hidden units that cannot be taken out (their state is an input or an output of the model, or goes
// where no rule follows) are silenced instead: their rows in the gates' weights become zero.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Of one LSTM, GRU or RNN of the top graph.
struct UnitMask {
  NodeId node;
  int64_t units = 0;                          // of one direction
  std::vector<std::vector<int32_t>> removed;  // by direction, ascending
};

/// The weakest units of every selected recurrent node with constant weights, by the Euclidean norm
/// of a unit's rows of all gates in W and R; each direction keeps kept_count(sparsity, units), at
/// least one. Throws Error: exit 2 for a sparsity outside 0..1, exit 3 for weights that are not
/// finite.
std::vector<UnitMask> plan_unit_masks(const Graph& graph, double sparsity,
                                      const std::function<bool(NodeId)>& selected);

/// Zeroes the units' rows in W, R, biases and peepholes. A unit of a state that starts at zero then
/// gives exactly zero (LSTM: o tanh(0); GRU and RNN with tanh: tanh(0)). Constants with other
/// readers are copied. Returns the number of units.
int apply_unit_masks(Graph& graph, const std::vector<UnitMask>& masks);

}  // namespace lathe
