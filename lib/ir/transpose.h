// Constants with their dimensions in another order.
#pragma once

#include <cstddef>
#include <vector>

#include "ir/tensor.h"

namespace lathe {

/// Dimension i of the result is dimension order[i] of `tensor`, as ONNX's Transpose. Throws
/// InternalError for packed elements, strings and an order that is no permutation.
Tensor transposed(const Tensor& tensor, const std::vector<size_t>& order);

/// What takes a transposition back.
std::vector<size_t> inverse_order(const std::vector<size_t>& order);

}  // namespace lathe
