// Shapes as a function of the inputs alone: nothing that a file declares about inner values or
// outputs is believed, and every size that is not known has a name, so that two sizes of one name
// are equal whatever they turn out to be.
#pragma once

#include <optional>
#include <vector>

#include "ops/op_row.h"

namespace lathe {

struct SymbolicShapes {
  std::vector<std::optional<Dims>> dims;  // by ValueId::index; nullopt: the rank is not known
  KnownElements elements;                 // of small integer tensors, likewise

  const std::optional<Dims>& dims_of(ValueId id) const { return dims[as_index(id)]; }
  /// Elements of a constant (rank 0 or 1, integer) or computed value, as far as known.
  std::optional<Elements> elements_of(const Graph& graph, ValueId id) const;

  static size_t as_index(ValueId id) { return static_cast<size_t>(id.index); }
};

/// For every value of `graph` (bodies are not entered). Ids are those of `graph`.
SymbolicShapes symbolic_shapes(const Graph& graph);

}  // namespace lathe
