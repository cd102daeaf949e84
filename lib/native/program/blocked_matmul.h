// A float matrix product in blocks, each of which one thread computes. oneDNN's GEMM divides a
// product by the number of threads, and the order of its sums changes with that; these blocks
// depend on the product's shape alone.
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

/// Whether oneDNN's implementation of this name is a GEMM.
bool is_gemm(std::string_view implementation);

/// All blocks by the implementation that oneDNN prefers, or by the wanted one where it is there.
/// Throws dnnl::error.
std::unique_ptr<BoundStep> bind_blocked_matmul(const FloatMatMulStep& step,
                                               const dnnl::primitive_attr& attributes,
                                               const BindContext& context);

}  // namespace lathe
