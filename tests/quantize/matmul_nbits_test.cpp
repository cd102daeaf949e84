#include "quantize/apply/matmul_nbits.h"

#include "engine/write_out_ops.h"
#include "ir/verify.h"
#include "onnx/text_form.h"
#include "ops/op_row.h"
#include "pass_check.h"
#include "quantize/apply/store_integer_weights.h"
#include "quantize_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::count_of;
using test::network;
using test::values_text;

namespace {

// The network with weights of 4 bits, tables included.
Graph stored(const std::string& body, int64_t block) {
  Graph graph = network(body);
  WeightStorageRules rules;
  rules.dtype = DType::kInt4;
  rules.block_size = block;
  rules.four_bit_tables = true;
  StoredNoise noise;
  store_integer_weights(graph, plan_weight_storage(graph, rules), noise);
  infer_shapes(graph);
  return graph;
}

void check_same(const Graph& before, const Graph& after) {
  verify(after, "fuse_matmul_nbits");
  CHECK(test::sqnr_between(before, after) > 100);
}

Graph fused(const Graph& before, int nodes) {
  Graph after = before;
  CHECK(fuse_matmul_nbits(after) == nodes);
  infer_shapes(after);
  check_same(before, after);
  Graph written = after;
  write_out_ops(written);
  infer_shapes(written);
  CHECK(count_of(written, OpKind::kMatMulNBits) == 0);
  CHECK(count_of(written, OpKind::kGatherBlockQuantized) == 0);
  check_same(before, written);
  return after;
}

const std::string kProduct = "agraph (float[2,3,80] x) => (float[2,3,5] y) <float[80,5] w = ";

}  // namespace

TEST_CASE("a product with int4 in blocks becomes MatMulNBits, its depth padded to whole blocks") {
  for (const int64_t block : {16, 32, 64}) {
    CAPTURE(block);
    const Graph after =
        fused(stored(kProduct + values_text(400, 1, -1, 1) + "> { y = MatMul(x, w) }", block), 1);
    const Node& node = test::only(after, OpKind::kMatMulNBits);
    const int64_t blocks = (80 + block - 1) / block;
    CHECK(after.constant(node.input(1))->shape() == Shape{5, blocks, block / 2});
    CHECK(after.constant(node.input(2))->numel() == 5 * blocks);
    CHECK(after.value(after.outputs()[0]).name == "y");
    CHECK(count_of(after, OpKind::kDequantizeLinear) == 1);  // for eliminate_dead_nodes
  }
}

TEST_CASE("Gemm of both layouts, its bias added behind; one with alpha stays") {
  const auto gemm = [](const std::string& attributes, const std::string& shape) {
    return stored("agraph (float[3,64] x) => (float[3,4] y) <float" + shape +
                      " w = " + values_text(256, 2, -1, 1) +
                      ", float[4] b = {1, 2, 3, 4}> { y = Gemm" + attributes + "(x, w, b) }",
                  32);
  };
  CHECK(count_of(fused(gemm("", "[64,4]"), 1), OpKind::kAdd) == 1);
  fused(gemm("<transB = 1>", "[4,64]"), 1);
  fused(gemm("<transB = 1, alpha = 0.5>", "[4,64]"), 0);
}

TEST_CASE("a table in blocks is gathered from its bits") {
  const Graph before = stored("agraph (int64[2,3] i) => (float[2,3,64] y) <float[70,64] w = " +
                                  values_text(70 * 64, 3, -1, 1) + "> { y = Gather(w, i) }",
                              32);
  Graph after = before;
  CHECK(fuse_matmul_nbits(after) == 1);
  infer_shapes(after);
  verify(after, "fuse_matmul_nbits");
  const Node& node = test::only(after, OpKind::kGatherBlockQuantized);
  CHECK(after.constant(node.input(0))->dtype() == DType::kInt4);
  CHECK(after.value(after.outputs()[0]).type.dims->size() == 3);
  Graph written = after;
  write_out_ops(written);
  infer_shapes(written);
  const std::vector<Tensor> ids = {Tensor::of<int64_t>({2, 3}, {0, 69, 3, -1, 17, 42})};
  const Tensor wanted = Interpreter(before).run_tensors(ids)[0];
  CHECK(Interpreter(after).run_tensors(ids)[0].identical(wanted));
  CHECK(Interpreter(written).run_tensors(ids)[0].identical(wanted));
}

TEST_CASE(
    "MatMulNBits of others: zero points packed or real, 8 bits, a bias; damaged ones refused") {
  const auto run = [](const std::string& attributes, const std::string& constants,
                      const std::string& inputs) {
    const Graph graph = network("agraph (float[1,16] x) => (float[1,2] y) <" + constants +
                                "> { y = com.microsoft.MatMulNBits<K = 16, N = 2, block_size = 16" +
                                attributes + ">(x, w, s" + inputs + ") }");
    std::vector<float> ones(16, 1.0f);
    return Interpreter(graph).run_tensors({Tensor::of<float>({1, 16}, ones)})[0].to_double();
  };
  // Low halves are 9, high halves 7, but one of column 1, which is 9.
  const std::string bytes =
      "uint8[2,1,8] w = {121,121,121,121,121,121,121,121, 153,121,121,121,121,121,121,121}, "
      "float[2] s = {1, 0.5}";
  CHECK(run("", bytes, "") == std::vector<double>{0, 1});
  CHECK(run(", bits = 4", bytes + ", uint8[2] z = {7, 8}", ", z") == std::vector<double>{16, 1});
  CHECK(run("", bytes + ", float[2] z = {7.5, 8}", ", z") == std::vector<double>{8, 1});
  CHECK(run("", bytes + ", float[2] b = {3, 4}", ", , , b") == std::vector<double>{3, 5});
  const std::string wide = "uint8[2,1,16] w = {" + [] {
    std::string text;
    for (int i = 0; i < 32; ++i) text += (i == 0 ? "" : ", ") + std::to_string(i < 16 ? 129 : 126);
    return text;
  }() + "}, float[2] s = {1, 0.5}";
  CHECK(run(", bits = 8", wide, "") == std::vector<double>{16, -16});
  CHECK_THROWS(run("", "uint8[2,1,7] w = {1,2,3,4,5,6,7,1,2,3,4,5,6,7}, float[2] s = {1, 1}", ""));
  CHECK_THROWS(
      run("", "uint8[2,1,8] w = {1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8}, float[3] s = {1, 1, 1}", ""));
  CHECK_THROWS(run(", bits = 3", bytes, ""));
  CHECK_THROWS(run("", bytes + ", uint8[3] z = {7, 8, 9}", ", z"));
}

}  // namespace lathe
