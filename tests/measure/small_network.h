// Two nodes that everything can be counted of.
#pragma once

#include <numeric>

#include "ir/graph.h"
#include "ir/tensor.h"
#include "ops/op_row.h"

namespace lathe {

/// x (2x4) -> fc (MatMul, 4x4) -> act (Relu) -> y; `rows` < 0 leaves the batch free.
inline Graph small_network(int64_t rows = 2) {
  Graph graph;
  const Dim batch = rows < 0 ? Dim::named("N") : Dim::of(rows);
  const ValueId x = graph.add_input("x", tensor_type(DType::kFloat32, Dims{batch, Dim::of(4)}));
  std::vector<float> weights(16);
  std::iota(weights.begin(), weights.end(), -8.0F);
  const ValueId w = graph.add_constant("w", Tensor::of<float>({4, 4}, weights));
  const ValueId hidden = graph.add_op(OpKind::kMatMul, {x, w}, "hidden", {}, "fc");
  graph.set_outputs({graph.add_op(OpKind::kRelu, {hidden}, "y", {}, "act")});
  infer_shapes(graph);
  return graph;
}

inline Tensor small_network_input(int64_t rows = 2) {
  return Tensor::of<float>({rows, 4}, std::vector<float>(static_cast<size_t>(rows * 4), 1.0F));
}

}  // namespace lathe
