// Arithmetic of dimensions that may be symbolic: what cannot be known becomes an unnamed unknown.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ir/error.h"
#include "ir/graph.h"
#include "ops/op_row.h"

namespace lathe {

/// An error for a node that cannot be valid; infer_shapes adds which node.
Error bad_node(std::string message);

/// Unknown when a factor is unknown, except that 1 keeps the other's symbol and 0 gives 0.
Dim multiply(const Dim& a, const Dim& b);
Dim product(std::span<const Dim> dims);
Dim add(const Dim& a, const Dim& b);
/// Throws Error (exit 3) when both are known and `divisor` (> 0) does not divide `dim`.
Dim divide(const Dim& dim, int64_t divisor, std::string_view what);
/// The dimension that both must be; throws Error (exit 3) when both are known and differ.
Dim unify(const Dim& a, const Dim& b, std::string_view what);
Dim broadcast_dim(const Dim& a, const Dim& b);
Dims broadcast_dims(const Dims& a, const Dims& b);

/// A non-negative number or a symbol becomes a dimension, everything else an unknown one.
Dim dim_of(const Element& element);
Element element_of(const Dim& dim);

}  // namespace lathe
