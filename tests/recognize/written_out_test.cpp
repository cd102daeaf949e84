// What is recognised, written for an old opset and compiled again: the same numbers, the same
// bytes, no more nodes.
#include "graph/node_list.h"
#include "graph/optimize_graph.h"
#include "onnx/read_model.h"
#include "onnx/text_form.h"
#include "onnx/write_model.h"
#include "ops/op_row.h"
#include "pass_check.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

WrittenModel compiled(Model& model) {
  Pipeline pipeline(model.graph);
  optimize_graph(model.graph, pipeline);
  return write_onnx(model);
}

Model reread(const WrittenModel& written) {
  return read_onnx(std::as_bytes(std::span(written.model_bytes)), {});
}

// The op that is recognised inside, and what is written.
void check(int64_t opset, OpKind kind, const std::string& body) {
  CAPTURE(body);
  Model model = parse_text("<ir_version: 8, opset_import: [\"\" : " + std::to_string(opset) +
                           "]>\nagraph " + body);
  infer_shapes(model.graph);
  const std::vector<Tensor> wanted = test::run_seeded(model.graph);
  const size_t nodes = test::total_nodes(model.graph);
  const WrittenModel first = compiled(model);
  CHECK(first.opset == opset);
  CHECK(test::count_of(model.graph, kind) == 1);
  Model again = reread(first);
  CHECK(test::total_nodes(again.graph) <= nodes);
  Graph run = again.graph;
  infer_shapes(run);
  const std::vector<Tensor> got = test::run_seeded(run);
  REQUIRE(got.size() == wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const std::vector<double> a = wanted[i].to_double(), b = got[i].to_double();
    REQUIRE(a.size() == b.size());
    for (size_t k = 0; k < a.size(); ++k) CHECK(b[k] == doctest::Approx(a[k]).epsilon(1e-4));
  }
  const WrittenModel second = compiled(again);
  CHECK(test::count_of(again.graph, kind) == 1);
  CHECK(second.model_bytes == first.model_bytes);
}

}  // namespace

TEST_CASE("recognised ops are written out as they were found, and found again") {
  check(13, OpKind::kGelu, R"((float[2,8] x) => (float[2,8] y)
<float root = {1.4142135}, float one = {1}, float half = {0.5}>
{ h = Mul(half, x)  d = Div(x, root)  e = Erf(d)  g = Add(one, e)  y = Mul(g, h) })");
  check(11, OpKind::kGelu, R"((float[2,8] x) => (float[2,8] y)
<float cubic = {0.044715}, float slope = {0.7978846}, float one = {1}, float half = {0.5}>
{ b = Mul(cubic, x)  c = Mul(x, b)  p = Mul(x, c)  s = Add(x, p)  a = Mul(slope, s)  t = Tanh(a)
  g = Add(one, t)  h = Mul(half, g)  y = Mul(x, h) })");
  check(13, OpKind::kSwish, R"((float[2,8] x) => (float[2,8] y)
{ r = Abs(x)  s = Sigmoid(r)  z = Mul(s, r)  y = Neg(z) })");
  check(13, OpKind::kSwish, R"((float[2,8] x) => (float[2,8] y) <float quick = {1.702}>
{ r = Mul(quick, x)  s = Sigmoid(r)  y = Mul(s, x) })");
  check(13, OpKind::kHardSwish, R"((float[2,8] x) => (float[2,8] y)
<float three = {3}, float zero = {0}, float six = {6}>
{ a = Add(x, three)  c = Clip(a, zero, six)  d = Div(c, six)  y = Mul(x, d) })");
  check(13, OpKind::kLayerNormalization, R"((float[N,3,4] x) => (float[N,3,4] y)
<float two = {2}, float eps = {1e-5}, float[1,1,4] g = {1, 2, 3, 4}, float[4] b = {5, 6, 7, 8}>
{ m = ReduceMean<axes = [2]>(x)  d = Sub(x, m)  p = Pow(d, two)  v = ReduceMean<axes = [2]>(p)
  e = Add(v, eps)  s = Sqrt(e)  n = Div(d, s)  k = Mul(g, n)  y = Add(k, b) })");
  check(13, OpKind::kLayerNormalization, R"((float[N,3,4] x) => (float[N,3,4] y)
<float eps = {1e-5}>
{ m = ReduceMean<axes = [1, 2]>(x)  d = Sub(x, m)  p = Mul(d, d)  v = ReduceMean<axes = [1, 2]>(p)
  e = Add(v, eps)  s = Sqrt(e)  n = Div(d, s)  y = Relu(n) })");
}

TEST_CASE("attention with its heads is written out as it was found, and found again") {
  for (const int64_t opset : {13, 23}) {
    check(opset, OpKind::kAttention, R"((float[B,5,8] x, float[5,5] mask) => (float[B,5,8] y)
<int64[4] heads = {0, 0, 2, 4}, int64[3] joined = {0, 0, 8}, float c = {2}>
{ q = Reshape(x, heads)  r = Transpose<perm = [0, 2, 1, 3]>(q)  a = Abs(x)  k = Reshape(a, heads)
  l = Transpose<perm = [0, 2, 3, 1]>(k)  b = Neg(x)  v = Reshape(b, heads)
  w = Transpose<perm = [0, 2, 1, 3]>(v)  s = MatMul(r, l)  m = Div(s, c)  n = Add(m, mask)
  p = Softmax(n)  o = MatMul(p, w)  t = Transpose<perm = [0, 2, 1, 3]>(o)  y = Reshape(t, joined) })");
    check(opset, OpKind::kAttention, R"((float[4,3,8] q, float[4,5,8] k, float[4,5,6] v)
=> (float[4,3,6] y) <float c = {0.25}>
{ j = Mul(q, c)  t = Transpose<perm = [0, 2, 1]>(k)  s = MatMul(j, t)  p = Softmax(s)
  y = MatMul(p, v) })");
  }
}

}  // namespace lathe
