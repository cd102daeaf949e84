// Multiply-accumulates of one execution of a node; see MacRule in ops/op_row.h. An unknown size of
// axis 0 (the batch; axis 1 of a recurrent op's input) counts as 1.
#pragma once

#include <optional>

#include "ir/graph.h"

namespace lathe::mac_rule {

/// Output elements times input channels of a group times kernel elements.
std::optional<int64_t> conv(const Graph&, const Node&);
std::optional<int64_t> qlinear_conv(const Graph&, const Node&);
/// Input elements times output channels of a group times kernel elements.
std::optional<int64_t> conv_transpose(const Graph&, const Node&);
/// Output elements times the length of the contracted axis.
std::optional<int64_t> matmul(const Graph&, const Node&);
std::optional<int64_t> gemm(const Graph&, const Node&);
/// Steps times batch times elements of W and R.
std::optional<int64_t> recurrent(const Graph&, const Node&);
/// The two products of scaled dot-product attention.
std::optional<int64_t> attention(const Graph&, const Node&);
/// Always nullopt: it multiplies, but how often is not known.
std::optional<int64_t> unknown(const Graph&, const Node&);

}  // namespace lathe::mac_rule
