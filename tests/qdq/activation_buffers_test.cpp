#include <doctest/doctest.h>

#include "qdq/activation_buffers.h"

namespace lathe {
namespace {

TEST_CASE("buffers live from their producer to their last user") {
  Graph graph;
  const auto type = [](int64_t n) { return tensor_type(DType::kFloat32, dims_of({n})); };
  const ValueId x =
      graph.add_input("x", tensor_type(DType::kFloat32, Dims{Dim::named("N"), Dim::of(8)}));
  const ValueId w = graph.add_constant("w", Tensor::of<float>({8}, std::vector<float>(8)));
  const ValueId a = graph.add_op(OpKind::kMul, {x, w}, "a");
  const ValueId b = graph.add_op(OpKind::kRelu, {a}, "b");
  const ValueId c = graph.add_op(OpKind::kAdd, {a, b}, "c");
  graph.add_op(OpKind::kRelu, {c}, "unused");
  graph.edit_type(a) = type(8);
  graph.edit_type(b) = type(16);
  graph.edit_type(c) = tensor_type(DType::kInt8, dims_of({24}));
  graph.set_outputs({b});
  const auto requests = activation_buffers(graph).requests;
  REQUIRE(requests.size() == 4);  // not the constant, nor c, which a Relu alone reads
  const auto is = [&](size_t i, int64_t bytes, int32_t first, int32_t last) {
    CHECK(requests[i].bytes == bytes);
    CHECK(requests[i].first_step == first);
    CHECK(requests[i].last_step == last);
  };
  is(0, 32, 0, 0);  // x: the unknown batch counts as 1
  is(1, 32, 0, 3);  // the Add runs with its Relu
  is(2, 64, 1, 3);  // a graph output stays to the end
  is(3, 0, 3, 3);  // of unknown type
}

}  // namespace
}  // namespace lathe
