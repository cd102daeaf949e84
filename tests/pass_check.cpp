#include "pass_check.h"

#include <cmath>
#include <random>

#include "ir/verify.h"
#include "onnx/text_form.h"
#include "ops/op_row.h"
#include "run/interpreter.h"

#include "doctest_after_torch.h"

namespace lathe::test {
namespace {

Tensor seeded(const ValueType& type, std::mt19937_64& random) {
  Shape shape;
  for (const Dim& dim : *type.dims) shape.push_back(dim.known() ? dim.size : 2);
  const auto count = static_cast<size_t>(element_count(shape));
  if (type.dtype == DType::kInt64) {
    std::vector<int64_t> values(count);
    for (int64_t& value : values) value = static_cast<int64_t>(random() % 2);
    return Tensor::of<int64_t>(shape, values);
  }
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  if (type.dtype != DType::kFloat16) return Tensor::of<float>(shape, values);
  std::vector<std::byte> bytes;
  for (const float value : values) {
    const uint16_t half = float_to_half(value);
    bytes.push_back(static_cast<std::byte>(half & 0xff));
    bytes.push_back(static_cast<std::byte>(half >> 8));
  }
  return Tensor::from_bytes(DType::kFloat16, shape, bytes);
}

}  // namespace

Graph graph_of(const std::string& text) {
  Graph graph = parse_text(text).graph;
  infer_shapes(graph);
  return graph;
}

int count_of(const Graph& graph, OpKind kind) {
  int count = 0;
  for (const NodeId id : graph.node_ids()) count += graph.node(id).kind == kind ? 1 : 0;
  return count;
}

std::vector<Tensor> run_seeded(const Graph& graph, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs()) inputs.push_back(seeded(graph.value(id).type, random));
  return Interpreter(graph).run_tensors(inputs);
}

Graph check_pass(const std::string& text, const std::function<int(Graph&)>& pass, int changes,
                 double tolerance) {
  return check_pass(graph_of(text), pass, changes, tolerance);
}

Graph check_pass(const Graph& before, const std::function<int(Graph&)>& pass, int changes,
                 double tolerance) {
  Graph after = before;
  const int count = pass(after);
  CHECK(count == changes);
  verify(after, "the pass under test");
  CHECK((text_form(before) != text_form(after)) == (count != 0));
  const std::vector<Tensor> wanted = run_seeded(before);
  const std::vector<Tensor> got = run_seeded(after);
  REQUIRE(wanted.size() == got.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    CHECK(after.value(after.outputs()[i]).name == before.value(before.outputs()[i]).name);
    REQUIRE(got[i].dtype() == wanted[i].dtype());
    REQUIRE(got[i].shape() == wanted[i].shape());
    const std::vector<double> a = wanted[i].to_double();
    const std::vector<double> b = got[i].to_double();
    double largest = 1e-6;
    for (const double value : a) largest = std::max(largest, std::fabs(value));
    for (size_t k = 0; k < a.size(); ++k) CHECK(std::fabs(a[k] - b[k]) <= tolerance * largest);
  }
  Graph again = after;
  CHECK(pass(again) == 0);
  CHECK(text_form(again) == text_form(after));
  return after;
}

}  // namespace lathe::test
