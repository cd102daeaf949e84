// Which nodes float16 does not suit, whatever their numbers are.
#pragma once

#include <string>
#include <string_view>

#include "ir/graph.h"

namespace lathe {

struct Float16Rule {
  OpKind kind;
  std::string_view reason;
  /// Results may be beyond 65504 or need more than 11 bits; what reads them is kept, too, up to
  /// where they are bounded again.
  bool is_wide = false;
};

/// The rule for an op; nullptr: float16 suits it.
const Float16Rule* float16_rule(OpKind kind);

/// Why the node stays in float32 by the table, by its types or by the sizes it works on; empty: it
/// does not. Element types must have been inferred.
std::string kept_by_rule(const Graph& graph, const Node& node);

/// Whether the results are of moderate size whatever the inputs are.
bool bounds_values(OpKind kind);

/// The attributes of a Cast.
Attributes cast_to(DType dtype);

/// A float32 tensor.
bool is_single(const Graph& graph, ValueId id);

}  // namespace lathe
