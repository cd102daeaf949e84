// Inputs to try a graph on when there are no data.
#pragma once

#include <cstdint>
#include <vector>

#include "run/interpreter.h"

namespace lathe {

/// Five sets of inputs: zeros, large ones (`large` times a standard normal), two random, and a
/// random one of batch 2 where the batch is free. Other free sizes take the first of 64, 224, 512,
/// 16 and 1 that the graph accepts. An integer of one element takes in turn the
/// numbers that the graph compares it with (a sample rate, a mode), where there are any. Sets that
/// the graph refuses are left out; throws Error (exit 3) when none is left.
std::vector<std::vector<Tensor>> seeded_inputs(const Interpreter& graph, double large,
                                               uint64_t seed);

}  // namespace lathe
