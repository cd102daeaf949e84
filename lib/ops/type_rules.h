// Element types of outputs where they are not simply the type of input 0.
// See TypeRule in ops/op_row.h; kUndefined means "no rule knows".
#pragma once

#include <span>

#include "ir/dtype.h"
#include "ir/graph.h"

namespace lathe::type_rule {

using Types = std::span<const DType>;

/// The type of input N; kUndefined when absent.
template <size_t N>
DType input(const Node&, Types inputs, size_t) {
  return N < inputs.size() ? inputs[N] : DType::kUndefined;
}

/// Always the type T.
template <DType T>
DType fixed(const Node&, Types, size_t) {
  return T;
}

/// Output 0 has the type of input 0, the others the type T (TopK, MaxPool, Unique, Dropout, …).
template <DType T>
DType first_then(const Node&, Types inputs, size_t index) {
  if (index > 0) return T;
  return inputs.empty() ? DType::kUndefined : inputs[0];
}

DType unknown(const Node&, Types, size_t);
/// Attribute `to`, `dtype` or `output_datatype`, else what the op's specification says.
DType cast(const Node&, Types, size_t);
DType dtype_or_float(const Node&, Types, size_t);
DType dtype_or_int32(const Node&, Types, size_t);
DType dtype_or_input(const Node&, Types, size_t);
DType output_datatype(const Node&, Types, size_t);
DType constant(const Node&, Types, size_t);
DType constant_of_shape(const Node&, Types, size_t);

DType quantize_linear(const Node&, Types, size_t);
DType dequantize_linear(const Node&, Types, size_t);
DType dynamic_quantize_linear(const Node&, Types, size_t);
/// Zero point of the output (input 7), else the type of input 0.
DType qlinear_binary(const Node&, Types, size_t);
/// Zero point of the output (input 8); float when the output is not quantized.
DType qgemm(const Node&, Types, size_t);

DType batch_normalization(const Node&, Types, size_t);
/// Mean and inverse deviation have the type of `stash_type`, float by default.
DType layer_normalization(const Node&, Types, size_t);
DType skip_layer_normalization(const Node&, Types, size_t);
DType attention(const Node&, Types, size_t);
DType string_split(const Node&, Types, size_t);

}  // namespace lathe::type_rule
