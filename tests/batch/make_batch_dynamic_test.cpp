// Batches of three are three batches of one, and what mixes them is refused by name.
#include "batch/make_batch_dynamic.h"

#include <cstring>
#include <random>

#include "graph/node_list.h"
#include "ir/error.h"
#include "ir/verify.h"
#include "onnx/text_form.h"
#include "pass_check.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::check_pass;
using test::graph_of;
using test::kHead;
using test::node_list;

namespace {

int free_batch(Graph& graph) { return make_batch_dynamic(graph); }

Tensor normal_tensor(const Shape& shape, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (float& value : values) value = normal(random);
  return Tensor::of<float>(shape, values);
}

// Item `item` of `count` along `axis`.
std::vector<double> item_of(const Tensor& tensor, size_t axis, int64_t item, int64_t count) {
  const std::vector<double> all = tensor.to_double();
  const Shape& shape = tensor.shape();
  int64_t outer = 1;
  for (size_t i = 0; i < axis; ++i) outer *= shape[i];
  const int64_t part = tensor.numel() / outer / count;
  std::vector<double> values;
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < part; ++i)
      values.push_back(all[static_cast<size_t>((o * count + item) * part + i)]);
  return values;
}

// The batch of three that has the items of three batches of one.
Tensor stacked(const std::vector<Tensor>& items, size_t axis) {
  Shape shape = items[0].shape();
  shape[axis] *= 3;
  const int64_t outer =
      element_count(Shape(shape.begin(), shape.begin() + static_cast<int64_t>(axis)));
  const int64_t part = items[0].numel() / outer;
  std::vector<float> values;
  for (int64_t o = 0; o < outer; ++o)
    for (const Tensor& item : items) {
      const auto from =
          item.values<float>().subspan(static_cast<size_t>(o * part), static_cast<size_t>(part));
      values.insert(values.end(), from.begin(), from.end());
    }
  return Tensor::of<float>(shape, values);
}

// check_pass, and three items at once give what each gives alone in the original.
Graph check_freed(const std::string& text, int changes) {
  const Graph before = graph_of(text);
  const BatchPlan plan = plan_dynamic_batch(before);
  REQUIRE_MESSAGE(plan.refusal.empty(), plan.refusal);
  Graph after = before;
  CHECK(make_batch_dynamic(after, plan) == changes);
  verify(after, "make_batch_dynamic");
  Graph again = after;
  CHECK(make_batch_dynamic(again) == 0);
  CHECK(text_form(again) == text_form(after));
  std::vector<std::vector<Tensor>> runs(3);
  std::vector<Tensor> together;
  for (size_t k = 0; k < before.inputs().size(); ++k) {
    const ValueId id = before.inputs()[k];
    const BatchAxis* place = nullptr;
    for (const BatchAxis& input : plan.inputs) place = input.value == id ? &input : place;
    Shape shape;
    for (const Dim& dim : *before.value(id).type.dims) shape.push_back(dim.known() ? dim.size : 1);
    std::vector<Tensor> items;
    for (uint64_t item = 0; item < 3; ++item) {
      items.push_back(normal_tensor(shape, place != nullptr ? k * 3 + item : k));
      runs[item].push_back(items.back());
    }
    together.push_back(place != nullptr ? stacked(items, static_cast<size_t>(place->axis))
                                        : items[0]);
  }
  const std::vector<Tensor> got = Interpreter(after).run_tensors(together);
  const Interpreter original(before);
  const std::vector<Tensor> one = original.run_tensors(runs[0]);
  const std::vector<Tensor> freed = Interpreter(after).run_tensors(runs[0]);
  for (size_t i = 0; i < one.size(); ++i) CHECK(freed[i].identical(one[i]));
  for (int64_t item = 0; item < 3; ++item) {
    const std::vector<Tensor> wanted = original.run_tensors(runs[static_cast<size_t>(item)]);
    for (const BatchAxis& output : plan.outputs) {
      const auto at = static_cast<size_t>(
          std::find(before.outputs().begin(), before.outputs().end(), output.value) -
          before.outputs().begin());
      const auto mine = item_of(got[at], static_cast<size_t>(output.axis), item, 3);
      const auto alone = wanted[at].to_double();
      REQUIRE(mine.size() == alone.size());
      for (size_t i = 0; i < mine.size(); ++i)
        CHECK(mine[i] == doctest::Approx(alone[i]).epsilon(1e-5));
    }
  }
  return after;
}

void check_refusal(const std::string& body, const std::vector<std::string>& named) {
  Graph graph = graph_of(kHead + body);
  const std::string text = text_form(graph);
  const BatchPlan plan = plan_dynamic_batch(graph);
  INFO(plan.refusal);
  CHECK_FALSE(plan.refusal.empty());
  for (const std::string& word : named) CHECK(plan.refusal.find(word) != std::string::npos);
  CHECK_THROWS_AS(make_batch_dynamic(graph), Error);
  CHECK(text_form(graph) == text);
}

std::vector<int64_t> ints_of(const Graph& graph, const char* output, size_t input) {
  const NodeId id = graph.value(graph.find_value(output)).producer;
  return graph.constant(graph.node(id).input(input))->to_int64();
}

}  // namespace

TEST_CASE("make_batch_dynamic: a network without shapes in it needs no edit") {
  const Graph after = check_freed(kHead + R"((float[1,2,4,4] x) => (float[1,3] y)
<float[3,32] w = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,
1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,
3,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32}>
{ r = Relu(x)  f = Flatten(r)  y = Gemm<transB = 1>(f, w) })",
                                  2);
  CHECK(dims_text(*after.value(after.inputs()[0]).type.dims) == "Nx2x4x4");
  CHECK(dims_text(*after.value(after.outputs()[0]).type.dims) == "Nx3");
}

TEST_CASE("make_batch_dynamic: constant Reshape targets") {
  SUBCASE("a leading 1 becomes -1") {
    const Graph after = check_freed(kHead + R"((float[1,2,3,4] x) => (float[1,6,4] y)
<int64[3] s = {1, 6, 4}> { a = Reshape(x, s)  y = Relu(a) })",
                                    3);
    CHECK(ints_of(after, "a", 1) == std::vector<int64_t>{-1, 6, 4});
  }
  SUBCASE("or 0 where -1 is taken") {
    const Graph after = check_freed(kHead + R"((float[1,2,3,4] x) => (float[1,6,4] y)
<int64[3] s = {1, -1, 4}> { a = Reshape(x, s)  y = Relu(a) })",
                                    3);
    CHECK(ints_of(after, "a", 1) == std::vector<int64_t>{0, -1, 4});
  }
  SUBCASE("what says the same for any batch stays") {
    check_freed(kHead + R"((float[1,2,3,4] x) => (float[1,24] y)
<int64[2] s = {-1, 24}, int64[4] t = {0, 4, 3, 2}> { b = Reshape(x, t)  a = Reshape(b, s)  y = Relu(a) })",
                2);
  }
  SUBCASE("a batch that shares its axis for a while") {
    check_freed(kHead + R"((float[1,5,4] x) => (float[1,5,2] y)
<int64[2] s = {5, 4}, int64[3] t = {1, 5, 2}, float[4,2] w = {1,2,3,4,5,6,7,8}>
{ a = Reshape(x, s)  m = MatMul(a, w)  y = Reshape(m, t) })",
                4);
  }
  SUBCASE("batch times heads, in the middle") {
    check_freed(kHead + R"((float[5,1,6] x) => (float[5,1,6] y)
<int64[3] s = {5, 2, 3}, int64[3] t = {5, 1, 6}>
{ a = Reshape(x, s)  b = Transpose<perm = [1, 0, 2]>(a)  c = Transpose<perm = [1, 0, 2]>(b)
  d = Reshape(c, t)  y = Relu(d) })",
                4);
  }
}

TEST_CASE("make_batch_dynamic: a fixed batch of two, with a constant for each item") {
  Graph graph = graph_of(kHead + R"((float[2,3] x) => (float[2,3] y)
<float[2,3] c = {1, 2, 3, 1, 2, 3}, int64[2] s = {2, 3}> { a = Add(x, c)  y = Reshape(a, s) })");
  CHECK(make_batch_dynamic(graph) == 4);
  CHECK(dims_text(*graph.value(graph.outputs()[0]).type.dims) == "Nx3");
  const std::vector<Tensor> out =
      Interpreter(graph).run_tensors({Tensor::of<float>({1, 3}, {1, 1, 1})});
  CHECK(out[0].shape() == Shape{1, 3});
  CHECK(out[0].to_double() == std::vector<double>{2, 3, 4});
  check_refusal(R"((float[2,3] x) => (float[2,3] y)
<float[2,3] c = {1, 2, 3, 4, 5, 6}> { y = Add(x, c) })",
                {"Add_0", "each item"});
}

TEST_CASE("make_batch_dynamic: Expand, Slice, Squeeze, Gather and Concat with the batch baked in") {
  check_freed(kHead + R"((float[1,1,3] x) => (float[1,4,3] y)
<int64[3] s = {1, 4, 3}> { a = Expand(x, s)  y = Relu(a) })",
              2);
  check_freed(kHead + R"((float[1,4,3] x) => (float[1,2,3] y)
<int64[2] s = {0, 1}, int64[2] e = {1, 3}> { a = Slice(x, s, e)  y = Relu(a) })",
              3);
  check_freed(kHead + R"((float[1,1,3] x) => (float[1,3] y)
<int64[1] zero = {0}> { a = Squeeze(x, zero)  y = Relu(a) })",
              3);
  check_freed(kHead + R"((float[1,1,3] x) => (float[1,3] y)
<int64 zero = {0}> { a = Gather(x, zero)  y = Relu(a) })",
              3);
  const Graph token = check_freed(kHead + R"((float[1,2,3] x) => (float[1,3,3] y)
<float[1,1,3] token = {7, 8, 9}> { a = Concat<axis = 1>(token, x)  y = Relu(a) })",
                                  3);
  CHECK(test::count_of(token, OpKind::kExpand) == 1);
}

TEST_CASE("make_batch_dynamic: shapes that the graph computes follow by themselves") {
  check_freed(kHead + R"((float[1,2,3] x) => (float[1,6] y)
<int64[1] zero = {0}, int64[1] rest = {-1}>
{ s = Shape(x)  n = Gather(s, zero)  t = Concat<axis = 0>(n, rest)  a = Reshape(x, t)  y = Relu(a) })",
              2);
}

TEST_CASE("make_batch_dynamic: recurrent layers have the batch on axis 1") {
  const std::string weights = R"(float[1,8,3] w = {1,0,0,0,1,0,0,0,1,1,0,0,0,1,0,0,0,1,1,0,0,0,1,0},
float[1,8,2] r = {1,0,0,1,1,0,0,1,1,0,0,1,1,0,0,1})";
  SUBCASE("a zero state goes") {
    const Graph after = check_freed(kHead + R"((float[1,4,3] x) => (float[1,4,2] y)
<)" + weights + R"(, float[1,1,2] h = {0, 0}, float[1,1,2] c = {0, 0}, int64[1] one = {1}>
{ t = Transpose<perm = [1, 0, 2]>(x)  o = LSTM<hidden_size = 2>(t, w, r, , , h, c)
  q = Squeeze(o, one)  y = Transpose<perm = [1, 0, 2]>(q) })",
                                    4);
    CHECK(after.node(after.value(after.find_value("o")).producer).inputs.size() <= 6);
  }
  SUBCASE("another state is repeated") {
    check_freed(kHead + R"((float[1,4,3] x) => (float[1,4,2] y)
<)" + weights + R"(, float[1,1,2] h = {1, 2}, int64[1] one = {1}>
{ t = Transpose<perm = [1, 0, 2]>(x)  o = LSTM<hidden_size = 2>(t, w, r, , , h)
  q = Squeeze(o, one)  y = Transpose<perm = [1, 0, 2]>(q) })",
                3);
  }
  SUBCASE("a state that is an input has its batch on axis 1, too") {
    const Graph after =
        check_freed(kHead + R"((float[1,4,3] x, float[1,1,2] h) => (float[1,4,2] y, float[1,1,2] k)
<)" + weights + R"(, int64[1] one = {1}>
{ t = Transpose<perm = [1, 0, 2]>(x)  o, k = LSTM<hidden_size = 2>(t, w, r, , , h)
  q = Squeeze(o, one)  y = Transpose<perm = [1, 0, 2]>(q) })",
                    4);
    CHECK(dims_text(*after.value(after.inputs()[1]).type.dims) == "1xNx2");
    CHECK(dims_text(*after.value(after.outputs()[1]).type.dims) == "1xNx2");
  }
}

TEST_CASE("make_batch_dynamic: what is free already stays as it is") {
  check_pass(kHead + R"((float[B,2,3] x) => (float[B,6] y)
{ a = Flatten(x)  y = Relu(a) })",
             free_batch, 0);
}

TEST_CASE("make_batch_dynamic: what mixes the items is refused by name") {
  check_refusal(R"((float[1,2,3] x) => (float[1,2,3] y) { y = Softmax<axis = 0>(x) })",
                {"Softmax_0", "axis 0"});
  check_refusal(R"((float[1,3] x) => (float[3] y)
<int64[1] zero = {0}> { y = ReduceSum<keepdims = 0>(x, zero) })",
                {"ReduceSum_0"});
  check_refusal(R"((float[1,3] x) => (float[2,3] y) { r = Relu(x)  y = Concat<axis = 0>(x, r) })",
                {"Concat_1"});
  check_refusal(R"((float[1,3,4] x) => (float[12] y)
<int64[1] s = {-1}> { y = Reshape(x, s) })",
                {"folds the batch"});
  check_refusal(R"((float[1,1280] x) => (float[2,640] y)
<int64[2] s = {2, 640}> { a = Reshape(x, s)  y = Softmax<axis = 0>(a) })",
                {"Softmax_1", "axis 0"});
  check_refusal(R"((float[1,3] x) => (float[1,3] y)
<int64 zero = {0}> { s = Shape(x)  n = Gather(s, zero)  f = Cast<to = 1>(n)  y = Mul(x, f) })",
                {"number of items"});
  check_refusal(R"((float[1,3] x) => (float[1,3] y) { y = custom.domain.Thing(x) })", {"Thing"});
  check_refusal(R"((float[1,2,3] x) => (float[3,3] y)
{ t = Transpose<perm = [1, 0, 2]>(x)  y = Softmax<axis = 1>(t) })",
                {"Softmax_1"});
}

}  // namespace lathe
