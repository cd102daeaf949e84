// Permutations of axes: axis i of a Transpose's output is axis perm[i] of its input.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

using Permutation = std::vector<int64_t>;

/// Of a Transpose; nullopt for another node, and when the rank is needed and not known.
std::optional<Permutation> permutation_of(const Graph& graph, const Node& node);
/// One Transpose that does `first`, then `second` (of the same rank).
Permutation composed(const Permutation& first, const Permutation& second);
bool is_identity(const Permutation& permutation);

/// What a Transpose by `permutation` turns into `dims` or `tensor`. The tensor has at most
/// permutation.size() dimensions (missing ones in front are 1) and whole bytes per element.
Dims untransposed(const Dims& dims, const Permutation& permutation);
Tensor untransposed(const Tensor& tensor, const Permutation& permutation);

}  // namespace lathe
