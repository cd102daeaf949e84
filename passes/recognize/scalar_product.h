// Products as exporters write them: in any order and grouping, with scalars in between.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

/// scale * product of factors / product of divisors. `inner` are the nodes that make it, the last
/// one of the product included.
struct ScalarProduct {
  double scale = 1;
  std::vector<ValueId> factors;
  std::vector<ValueId> divisors;
  std::vector<NodeId> inner;

  bool is_scaled(ValueId value) const {
    return divisors.empty() && factors.size() == 1 && factors[0] == value;
  }
};

/// Takes Mul, Div, Reciprocal and Pow by 2 or 3 apart, down to values that are read more than once
/// (at most kMaxProductNodes nodes; what is deeper is a factor). A value that is no product is its
/// own only factor. Constants of one element are scale, larger ones are factors.
ScalarProduct scalar_product(const Graph& graph, ValueId value);
constexpr size_t kMaxProductNodes = 8;

/// The element of a floating constant of one element and of a rank no higher than `rank`.
std::optional<double> scalar_constant(const Graph& graph, ValueId value, size_t rank = kMaxRank);

/// term + shift, from Add or Sub of a scalar constant by the node `inner`.
struct ShiftedValue {
  ValueId term;
  double shift = 0;
  NodeId inner;
};
std::optional<ShiftedValue> shifted_value(const Graph& graph, ValueId value);

/// Whether a constant of the value's element type may stand for `wanted`.
bool is_close(const Graph& graph, ValueId value, double constant, double wanted);

}  // namespace lathe
