// Mixed precision: close to float32, and good enough to learn with.
#include "train/bfloat16.h"
#include "deep_problem.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::gradients_of;
using test::random_input;

void check_close(const Graph& graph, const at::Tensor& x) {
  TrainableOptions options;
  TrainableGraph exact(graph, options);
  options.bfloat16 = true;
  TrainableGraph mixed(graph, options);
  at::Tensor expected, given;
  const auto gradients = gradients_of(exact, x, &expected);
  const auto rounded = gradients_of(mixed, x, &given);
  CHECK((given.scalar_type() == at::kFloat));
  // Eight bits of precision: products really were rounded, and no more than that.
  const auto distance = [](const at::Tensor& a, const at::Tensor& b) {
    return (a - b).norm().item<double>() / b.norm().item<double>();
  };
  CHECK(distance(given, expected) > 1e-5);
  CHECK(distance(given, expected) < 0.03);
  std::vector<at::Tensor> all, all_rounded;
  for (const auto& [name, gradient] : gradients) {
    CHECK((rounded.at(name).scalar_type() == at::kFloat));
    all.push_back(gradient.flatten());
    all_rounded.push_back(rounded.at(name).flatten());
  }
  // The direction of the step: errors grow through every layer that is differentiated.
  CHECK(distance(at::cat(all_rounded), at::cat(all)) < 0.12);
  // Only training rounds.
  CHECK(at::equal(mixed.evaluate({x})[0], exact.evaluate({x})[0]));
}

}  // namespace

TEST_CASE("bfloat16 gradients are those of float32 within its precision") {
  SUBCASE("convolutions") { check_close(test::residual_network(3), random_input({16, 3, 8, 8})); }
  SUBCASE("recurrent layers") { check_close(test::recurrent_network(2), random_input({12, 8, 4})); }
  SUBCASE("dense layers") {
    const Graph graph = test::small_network();
    check_close(graph, random_input({32, 4}));
  }
}

TEST_CASE("a training in bfloat16 learns, and its parameters stay float32") {
  const Graph graph = test::small_network();
  const TrainingData data = test::small_data();
  TrainableOptions options = test::on_scores(graph);
  options.bfloat16 = true;
  TrainableGraph trainable(graph, options);
  TrainOptions how;
  how.epochs = 30;
  how.batch = 20;
  how.optimizer.kind = OptimizerOptions::Kind::kAdam;
  how.learning_rate.base = 0.01;
  const TrainResult result = train(trainable, data, test::label_loss(), how);
  CHECK(result.epochs.back().loss < 0.5 * result.epochs.front().loss);
  CHECK(test::accuracy(trainable, data) > 0.85);
  for (const Parameter& parameter : trainable.parameters())
    CHECK((parameter.tensor->scalar_type() == at::kFloat));
}

TEST_CASE("doubles and integers are left alone") {
  Graph graph;
  const ValueId x =
      graph.add_input("x", tensor_type(DType::kFloat64, Dims{Dim::of(2), Dim::of(2)}));
  const ValueId w = graph.add_constant("w", Tensor::of<double>({2, 2}, {0.1, 0.2, 0.3, 0.4}));
  graph.set_outputs({graph.add_op(OpKind::kMatMul, {x, w}, "y")});
  infer_shapes(graph);
  TrainableOptions options;
  options.bfloat16 = true;
  TrainableGraph trainable(graph, options);
  const at::Tensor ones = at::ones({2, 2}, at::kDouble);
  CHECK(at::equal(trainable.forward({ones})[0].detach(), trainable.evaluate({ones})[0]));
}

}  // namespace lathe
