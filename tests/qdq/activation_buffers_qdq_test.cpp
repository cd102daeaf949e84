#include <doctest/doctest.h>

#include "qdq/activation_buffers.h"

namespace lathe {

TEST_CASE("activation_buffers leaves dequantized weights out") {
  Graph graph;
  const ValueId x =
      graph.add_input("x", tensor_type(DType::kFloat32, Dims{Dim::of(1), Dim::of(2)}));
  const ValueId w8 = graph.add_constant("w8", Tensor::of<int8_t>({2, 2}, {1, 2, 3, 4}));
  const ValueId scale = graph.add_constant("scale", Tensor::scalar<float>(0.5f));
  const ValueId w = graph.add_op(OpKind::kDequantizeLinear, {w8, scale}, "w");
  graph.edit_type(w) = tensor_type(DType::kFloat32, Dims{Dim::of(2), Dim::of(2)});
  const ValueId y = graph.add_op(OpKind::kMatMul, {x, w}, "y");
  graph.edit_type(y) = tensor_type(DType::kFloat32, Dims{Dim::of(1), Dim::of(2)});
  graph.set_outputs({y});
  int64_t bytes = 0;
  for (const BufferRequest& request : activation_buffers(graph).requests) bytes += request.bytes;
  CHECK(bytes == 16);  // x and y
}

}  // namespace lathe
