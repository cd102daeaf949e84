// Inputs that a graph is traced and checked on when nobody gives real ones.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"
#include "run/runtime_value.h"

namespace lathe {

/// An axis of a graph input that holds the batch.
struct FreeAxis {
  size_t input = 0;
  size_t axis = 0;
};

/// Unknown first axes, and other axes that have such an axis' symbol. Empty: the graph's batch size
/// is fixed, or it has none.
std::vector<FreeAxis> batch_axes(const Graph& graph);

/// One value per graph input; `variant` 0, 1, … hold other values. From `example` (one tensor per
/// input, rows of the batch repeated in turn, scaled by the variant) or, when it is empty, seeded:
/// floats of unit variance, 8-bit integers over their range, other integers (indices, lengths) and
/// bools of 0 and 1.
/// Throws Error (exit 3) for unknown sizes that are no batch, naming the input and --input-shape,
/// and when the example does not fit the graph.
std::vector<RuntimeValue> example_inputs(const Graph& graph, const std::vector<Tensor>& example,
                                         int64_t batch, uint64_t variant);

/// The batch size of `example`; 1 when it is empty or the graph has no batch axis.
int64_t example_batch(const Graph& graph, const std::vector<Tensor>& example);

}  // namespace lathe
