// Reductions that broadcast against what they reduce, as exporters write them.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// scale * Reduce<kind>(of) over `axes` (not negative, ascending, constant).
struct Reduction {
  OpKind kind = OpKind::kReduceMean;
  ValueId of;
  std::vector<int64_t> axes;
  double scale = 1;
  std::vector<NodeId> inner;
};

/// `value` itself, with the reduced dimensions kept or not; ReduceSum over known sizes times
/// 1 / (their product) is ReduceMean.
std::optional<Reduction> reduction_of(const Graph& graph, ValueId value);

/// What a Reshape or Unsqueeze brought into the form of `value`, which node goes into `inner`;
/// `value` when there is none.
ValueId before_restoring(const Graph& graph, ValueId value, std::vector<NodeId>& inner);

/// `value` has x's dimensions, 1 at `axes`, so that it broadcasts along them alone.
bool is_kept(const Graph& graph, ValueId value, ValueId x, const std::vector<int64_t>& axes);

/// The axes are the last ones of x.
bool are_last_axes(const Graph& graph, ValueId x, const std::vector<int64_t>& axes);

}  // namespace lathe
