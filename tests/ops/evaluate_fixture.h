// Runs one op on literal tensors, as the interpreter would.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <initializer_list>
#include <limits>
#include <utility>
#include <vector>

#include "evaluate/evaluate.h"
#include "ir/error.h"

#include "doctest_after_torch.h"

namespace lathe::test {

struct Given {
  DType dtype = DType::kUndefined;
  at::Tensor tensor;
};

inline Given ints(DType dtype, std::vector<int64_t> sizes, std::vector<int64_t> values) {
  return {dtype, at::tensor(values, at::kLong).reshape(sizes).to(storage_type(dtype))};
}
inline Given int64s(std::vector<int64_t> values) {
  const auto size = static_cast<int64_t>(values.size());
  return ints(DType::kInt64, {size}, std::move(values));
}
inline Given floats(std::vector<int64_t> sizes, std::vector<double> values) {
  return {DType::kFloat32, at::tensor(values, at::kDouble).reshape(sizes).to(at::kFloat)};
}

inline std::vector<at::Tensor> run_op(OpKind kind, const std::vector<Given>& given,
                                      Attributes attributes = {}, size_t outputs = 1) {
  Node node;
  node.kind = kind;
  node.name = "node";
  node.outputs.resize(outputs);
  node.attributes = std::move(attributes);
  std::vector<at::Tensor> tensors;
  std::vector<DType> dtypes;
  for (const Given& one : given) {
    tensors.push_back(one.tensor);
    dtypes.push_back(one.dtype);
  }
  const Evaluate evaluate = evaluate_function(kind);
  if (evaluate == nullptr) throw InternalError("op without evaluation");
  return evaluate(EvaluateCall{node, tensors, dtypes, {}});
}

inline Attributes attributes_of(std::initializer_list<std::pair<std::string, Attribute>> entries) {
  Attributes out;
  for (const auto& [name, value] : entries) out.set(name, value);
  return out;
}

inline std::vector<int64_t> int_values(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kLong).contiguous();
  return {host.data_ptr<int64_t>(), host.data_ptr<int64_t>() + host.numel()};
}
inline std::vector<double> real_values(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kDouble).contiguous();
  return {host.data_ptr<double>(), host.data_ptr<double>() + host.numel()};
}

using Ints = std::vector<int64_t>;
using Reals = std::vector<double>;

}  // namespace lathe::test
