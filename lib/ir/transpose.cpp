#include "ir/transpose.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ir/dtype.h"
#include "ir/error.h"

namespace lathe {

Tensor transposed(const Tensor& tensor, const std::vector<size_t>& order) {
  const size_t rank = tensor.shape().size();
  const auto bits = static_cast<size_t>(dtype_bits(tensor.dtype()));
  std::vector<size_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i)
    if (sorted.size() != rank || sorted[i] != i) throw InternalError("transposed: no permutation");
  if (bits == 0 || bits % 8 != 0) throw InternalError("transposed: elements of no whole bytes");
  Shape shape(rank);
  std::vector<size_t> strides(rank, bits / 8);  // of the source, then in the order of the result
  for (size_t i = rank; i-- > 1;)
    strides[i - 1] = strides[i] * static_cast<size_t>(tensor.shape()[i]);
  std::vector<size_t> steps(rank);
  for (size_t i = 0; i < rank; ++i) {
    shape[i] = tensor.shape()[order[i]];
    steps[i] = strides[order[i]];
  }
  std::vector<std::byte> bytes(tensor.bytes().size());
  std::vector<int64_t> at(rank, 0);
  const std::byte* from = tensor.bytes().data();
  for (size_t to = 0; to < bytes.size(); to += bits / 8) {
    std::memcpy(bytes.data() + to, from, bits / 8);
    for (size_t i = rank; i-- > 0;) {
      from += steps[i];
      if (++at[i] < shape[i]) break;
      from -= steps[i] * static_cast<size_t>(shape[i]);
      at[i] = 0;
    }
  }
  return Tensor::from_bytes(tensor.dtype(), std::move(shape), std::move(bytes));
}

std::vector<size_t> inverse_order(const std::vector<size_t>& order) {
  std::vector<size_t> inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i) inverse[order[i]] = i;
  return inverse;
}

}  // namespace lathe
