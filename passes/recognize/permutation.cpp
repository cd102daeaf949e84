#include "recognize/permutation.h"

#include <cstring>

namespace lathe {

std::optional<Permutation> permutation_of(const Graph& graph, const Node& node) {
  if (node.kind != OpKind::kTranspose || !node.input(0).valid()) return {};
  const auto& dims = graph.value(node.inputs[0]).type.dims;
  Permutation perm = node.attributes.ints_or("perm", {});
  if (perm.empty()) {
    if (!dims) return {};
    for (size_t i = dims->size(); i-- > 0;) perm.push_back(static_cast<int64_t>(i));
  }
  if (dims && dims->size() != perm.size()) return {};
  std::vector<bool> seen(perm.size());
  for (const int64_t axis : perm) {
    if (axis < 0 || axis >= static_cast<int64_t>(perm.size())) return {};
    if (seen[static_cast<size_t>(axis)]) return {};
    seen[static_cast<size_t>(axis)] = true;
  }
  return perm;
}

Permutation composed(const Permutation& first, const Permutation& second) {
  Permutation result;
  for (const int64_t axis : second) result.push_back(first[static_cast<size_t>(axis)]);
  return result;
}

bool is_identity(const Permutation& permutation) {
  for (size_t i = 0; i < permutation.size(); ++i)
    if (permutation[i] != static_cast<int64_t>(i)) return false;
  return true;
}

Dims untransposed(const Dims& dims, const Permutation& permutation) {
  Dims result(dims.size());
  for (size_t i = 0; i < dims.size(); ++i) result[static_cast<size_t>(permutation[i])] = dims[i];
  return result;
}

Tensor untransposed(const Tensor& tensor, const Permutation& permutation) {
  const size_t rank = permutation.size();
  Shape full(rank - tensor.shape().size(), 1);
  full.insert(full.end(), tensor.shape().begin(), tensor.shape().end());
  Shape shape(rank);
  std::vector<int64_t> stride(rank);  // in elements of the source, by axis of the result
  int64_t step = 1;
  for (size_t i = rank; i-- > 0;) {
    shape[static_cast<size_t>(permutation[i])] = full[i];
    stride[static_cast<size_t>(permutation[i])] = step;
    step *= full[i];
  }
  const auto width = static_cast<size_t>(dtype_bytes(tensor.dtype(), 1));
  std::vector<std::byte> bytes(tensor.bytes().size());
  std::vector<int64_t> index(rank, 0);
  int64_t source = 0;
  for (size_t at = 0; at < bytes.size(); at += width) {
    std::memcpy(&bytes[at], &tensor.bytes()[static_cast<size_t>(source) * width], width);
    for (size_t axis = rank; axis-- > 0;) {
      source += stride[axis];
      if (++index[axis] < shape[axis]) break;
      source -= stride[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return Tensor::from_bytes(tensor.dtype(), shape, std::move(bytes));
}

}  // namespace lathe
