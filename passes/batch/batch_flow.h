// Where the batch is in a value, and which ops keep the items of a batch apart.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// Axis `axis` counts outer x batch x inner elements, the outer ones slowest.
struct BatchPlace {
  int64_t axis = 0;
  int64_t outer = 1;
  int64_t inner = 1;
  bool is_whole_axis() const { return outer == 1 && inner == 1; }
  bool operator==(const BatchPlace&) const = default;
};

/// Of each input of a node; nullopt: absent, or the same for every item of the batch.
using BatchPlaces = std::vector<std::optional<BatchPlace>>;

/// Why the node mixes the items of a batch, or why it is not known that it does not; empty when it
/// keeps them apart. `graph` gives types and constants at the batch that the model was made for.
/// What merely moves elements (Reshape, Expand, Slice, …) is not judged here: its shapes tell.
std::string mixes_batch(const Graph& graph, const Node& node, const BatchPlaces& inputs);

/// Places that the batch may have in the result of a Reshape from `from` to `to`, the likeliest
/// first: an axis of its own before one that it shares, axes that stay before axes that merge.
/// Empty when it shares no axis in one piece, or when sizes before it are unknown.
std::vector<BatchPlace> reshaped_places(const Dims& from, const BatchPlace& place, const Dims& to,
                                        int64_t batch);

}  // namespace lathe
