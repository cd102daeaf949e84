// A float matrix product by oneDNN's GEMM, in blocks.
#pragma once

#include <dnnl.hpp>
#include <memory>

#include "program/bound_step.h"

namespace lathe {

/// Rows and columns of a block of `outer` products rows x depth x columns: multiples of 64, or all.
struct ProductBlocks {
  int64_t rows = 1;
  int64_t columns = 1;
};
ProductBlocks product_blocks(int64_t outer, int64_t rows, int64_t depth, int64_t columns);

/// All blocks by the implementation that is wanted where it is there, else by oneDNN's first.
/// Throws dnnl::error.
std::unique_ptr<BoundStep> bind_blocked_matmul(const FloatMatMulStep& step,
                                               const dnnl::primitive_attr& attributes,
                                               const BindContext& context);

}  // namespace lathe
