// Which plans serve every batch, and that they do.
#include <ATen/ATen.h>

#include "artifact/plan_graph.h"
#include "engine/native_plan_file.h"
#include "optimized.h"
#include "quantized_graph.h"
#include "run/run_text.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::graph_from;
using test::optimized;

namespace {

NativePlanFile plan_of(const Graph& graph) {
  return make_plan_file(graph,
                        [&](const std::vector<Shape>& shapes) { return optimized(graph, shapes); });
}

/// With rows of 4 numbers.
bool is_free(const std::string& nodes) {
  CAPTURE(nodes);
  const Graph graph = graph_from("g (float[N,4] x) => (float[M,4] y) " + nodes);
  const NativePlanFile made = plan_of(graph);
  CHECK(made.file.metadata.lost_batch == made.batch_fixed);
  if (made.batch_fixed) return false;
  const auto file = std::make_shared<const PlanFile>(made.file);
  NativeEngine engine(plan_graph(file), plans_of(file));
  for (const int64_t batch : {1, 2, 3, 6, 50}) {
    CAPTURE(batch);
    const Tensor x = Tensor::of<float>({batch, 4}, test::noise(batch * 4, 1));
    const at::Tensor found = engine.run({to_runtime(x)})[0].tensor;
    const at::Tensor wanted = to_runtime(Interpreter(graph).run_tensors({x})[0]).tensor;
    REQUIRE(found.sizes() == wanted.sizes());
    CHECK(at::allclose(found, wanted, 1e-5, 1e-6));
  }
  return true;
}

}  // namespace

TEST_CASE("a plan serves every batch, or one alone") {
  CHECK(is_free("<float[4] k = {1, 2, 3, 4}> { a = Mul(x, k)  y = Tanh(a) }"));
  CHECK(is_free("{ m = ReduceMean<axes = [0]>(x)  y = Sub(x, m) }"));
}

TEST_CASE("what changes at a larger batch only is no plan for every batch") {
  CHECK_FALSE(
      is_free("<int64[1] z = {0}, int64[1] e = {5}> { a = Relu(x)  y = Slice(a, z, e, z) }"));
  CHECK_FALSE(
      is_free("<int64[1] z = {0}, int64[1] e = {50000}> { a = Relu(x)  y = Slice(a, z, e, z) }"));
  CHECK_FALSE(
      is_free("<int64[1] z = {0}, int64[1] e = {4}> { h = Slice(x, z, e, z) "
              " m = ReduceMean<axes = [0]>(h)  y = Sub(x, m) }"));
  const std::string rows = "{ s = Shape(x)  n = Gather(s, z) ";
  const std::string numbers =
      "<int64 z = {0}, int64 four = {4}, float one = {1.0}, float two = {2.0}> ";
  CHECK_FALSE(
      is_free(numbers + rows + "b = Greater(n, four)  k = Where(b, one, two)  y = Mul(x, k) }"));
  CHECK_FALSE(is_free(numbers + rows + "d = Div(n, four)  k = Cast<to = 1>(d)  y = Add(x, k) }"));
  CHECK_FALSE(is_free(numbers + rows + "d = Mod(n, four)  k = Cast<to = 1>(d)  y = Add(x, k) }"));
}

TEST_CASE("a graph that has no shapes at batch 1 is refused with the way out") {
  const Graph graph = graph_from("g (float[N,4] x) => (float[M,4] y) { y = Relu(x) }");
  try {
    // As where shapes contradict each other.
    make_plan_file(graph, [&](const std::vector<Shape>&) { return graph; });
    FAIL("planned");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kBadInput);
    CHECK(error.text().hint.find("--input-shape") != std::string::npos);
  }
}

}  // namespace lathe
