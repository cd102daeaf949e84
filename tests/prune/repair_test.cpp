#include "prune/repair.h"

#include <cmath>

#include "ir/error.h"
#include "ir/verify.h"
#include "layers/layer_outputs.h"
#include "layers/normal_equations.h"
#include "onnx/text_form.h"
#include "ops/op_row.h"
#include "prune/element_masks.h"
#include "prune/prune_plan.h"
#include "prune/repair_layer.h"
#include "run/interpreter.h"
#include "score_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::normal_tensor;
using test::ScoreCase;
using test::sliced;
using test::small_network;
using test::smooth_samples;

namespace {

// Mean squared error of the outputs on samples that were not fitted to.
double output_error(const Graph& dense, const Graph& other, const Shape& shape) {
  const SampleSource fresh = smooth_samples(shape, 100, 99);
  const Interpreter a(dense);
  const Interpreter b(other);
  double error = 0;
  double square = 0;
  for (size_t i = 0; i < fresh.count; ++i) {
    const std::vector<double> wanted = a.run_tensors(fresh.sample(i))[0].to_double();
    const std::vector<double> got = b.run_tensors(fresh.sample(i))[0].to_double();
    REQUIRE(wanted.size() == got.size());
    for (size_t k = 0; k < wanted.size(); ++k) {
      error += (wanted[k] - got[k]) * (wanted[k] - got[k]);
      square += wanted[k] * wanted[k];
    }
  }
  return error / square;
}

const KeptChannels kKept = {{0, 2, 3, 5, 6}, {0, 1, 3, 5}};

struct Outcome {
  Graph graph;
  std::vector<RepairRow> rows;
};

Outcome repaired(const ScoreCase& c, const KeptChannels& kept, const SampleSource& source,
                 RepairOptions options = {}) {
  Outcome outcome;
  outcome.graph = sliced(c, kept);
  outcome.rows =
      repair(c.graph, outcome.graph, kept_outputs(c.graph, c.groups, kept), source, options);
  verify(outcome.graph, "repair");
  return outcome;
}

// One layer behind a Mul by a constant in which pruning has put zeros, so that the layer's own
// weights are as they were: what repair finds is a plain least-squares problem.
struct OneLayer {
  Graph dense;
  Graph pruned;
  Shape shape;
};

OneLayer one_layer(OpKind kind, const Shape& shape, const Shape& weight,
                   const Attributes& attributes, int64_t bias) {
  OneLayer result;
  result.shape = shape;
  Graph& g = result.dense;
  const ValueId x = g.add_input("x", tensor_type(DType::kFloat32, dims_of(shape)));
  Shape gates(shape.size(), 1);
  const size_t axis = kind == OpKind::kMatMul || kind == OpKind::kGemm ? shape.size() - 1 : 1;
  gates[axis] = shape[axis];
  std::vector<float> open(static_cast<size_t>(shape[axis]), 1);
  const ValueId gate = g.add_constant("gate", Tensor::of<float>(gates, open));
  ValueId y = g.add_op(OpKind::kMul, {x, gate}, "gated", {}, "mul");
  std::vector<ValueId> inputs = {y, g.add_constant("w", normal_tensor(weight, 3, 0.3f))};
  if (bias > 0 && kind != OpKind::kMatMul)
    inputs.push_back(g.add_constant("b", normal_tensor({bias}, 4)));
  y = g.add_op(kind, inputs, "y", attributes, "layer");
  if (bias > 0 && kind == OpKind::kMatMul)
    y = g.add_op(OpKind::kAdd, {y, g.add_constant("b", normal_tensor({bias}, 4))}, "z", {}, "add");
  g.set_outputs({y});
  infer_shapes(g);
  result.pruned = g;
  open[1] = 0;
  open[2] = 0;
  result.pruned.set_constant(gate, Tensor::of<float>(gates, open));
  return result;
}

// The error on held-out samples that a direct solution with intercept in double leaves.
double direct_error(const OneLayer& c, const SampleSource& source, bool intercept) {
  const std::optional<RepairLayer> layer = repair_layer(c.dense, c.dense.find_node("layer"), false);
  REQUIRE(layer);
  std::vector<at::Tensor> xs;
  std::vector<at::Tensor> ys;
  std::vector<at::Tensor> held_xs;
  std::vector<at::Tensor> held_ys;
  const Interpreter dense(c.dense);
  const Interpreter pruned(c.pruned);
  for (size_t i = 0; i < source.count; ++i) {
    at::Tensor x;
    at::Tensor y;
    RunOptions options;
    options.on_value = [&](ValueId id, RuntimeValue& value) {
      if (c.pruned.value(id).name == "gated") x = value.tensor->clone();
    };
    pruned.run_tensors(source.sample(i), options);
    options.on_value = [&](ValueId id, RuntimeValue& value) {
      if (c.dense.value(id).name == "y") y = value.tensor->clone();
    };
    dense.run_tensors(source.sample(i), options);
    const int64_t axis = channel_axis(c.dense.node(layer->node).kind, y.dim());
    std::vector<int64_t> all;
    for (int64_t p = 0; p < position_count(y, axis); ++p) all.push_back(p);
    (is_held_out(i, source.count) ? held_xs : xs)
        .push_back(input_rows(c.pruned, *layer, x, all).to(at::kDouble));
    (is_held_out(i, source.count) ? held_ys : ys)
        .push_back(channel_rows(y, axis, all, {}).to(at::kDouble));
  }
  const at::Tensor x = at::cat(xs);
  const at::Tensor y = at::cat(ys);
  const at::Tensor held_x = at::cat(held_xs);
  const at::Tensor held_y = at::cat(held_ys);
  double error = 0;
  for (int64_t g = 0; g < layer->groups; ++g) {
    at::Tensor xg = x.narrow(1, g * layer->inputs, layer->inputs);
    const at::Tensor yg = y.narrow(1, g * layer->outputs, layer->outputs);
    at::Tensor held_xg = held_x.narrow(1, g * layer->inputs, layer->inputs);
    const at::Tensor held_yg = held_y.narrow(1, g * layer->outputs, layer->outputs);
    if (intercept) {
      xg = at::cat({xg, at::ones({x.size(0), 1}, x.options())}, 1);
      held_xg = at::cat({held_xg, at::ones({held_x.size(0), 1}, x.options())}, 1);
    }
    const auto [solution, rest, rank, values] = at::linalg_lstsq(xg, yg, c10::nullopt, "gelsd");
    error += (held_yg - held_xg.matmul(solution)).square().sum().item<double>();
  }
  return error / held_y.square().sum().item<double>();
}

void check_layer(const OneLayer& c, bool intercept) {
  const SampleSource source = smooth_samples(c.shape, 200);
  Graph graph = c.pruned;
  RepairOptions options;
  options.ridge = 1e-9;
  const std::vector<RepairRow> rows = repair(c.dense, graph, {}, source, options);
  verify(graph, "repair");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].method == RepairMethod::kLeastSquares);
  CHECK(rows[0].error_before > 1.02 * rows[0].error_after);
  const double direct = direct_error(c, source, intercept);
  CHECK(rows[0].error_after == doctest::Approx(direct).epsilon(1e-4));
  CHECK(output_error(c.dense, graph, c.shape) < output_error(c.dense, c.pruned, c.shape));
}

Attributes ints(std::initializer_list<std::pair<const char*, std::vector<int64_t>>> values) {
  Attributes attributes;
  for (const auto& [name, value] : values) attributes.set(name, value);
  return attributes;
}

}  // namespace

TEST_CASE("repair brings a pruned network nearer the dense one, on other data, too") {
  const ScoreCase c = small_network();
  const Shape shape = {1, 3, 8, 8};
  const Outcome outcome = repaired(c, kKept, smooth_samples(shape, 1000));
  REQUIRE(outcome.rows.size() == 2);
  CHECK(outcome.rows[0].node == "second");
  CHECK(outcome.rows[1].node == "last");
  for (const RepairRow& row : outcome.rows) {
    CHECK(row.method == RepairMethod::kLeastSquares);
    CHECK(row.error_after < 0.7 * row.error_before);
    CHECK(row.rows >= 800);
  }
  const double plain = output_error(c.graph, sliced(c, kKept), shape);
  const double mended = output_error(c.graph, outcome.graph, shape);
  CHECK(mended < 0.5 * plain);
}

TEST_CASE("repair does not depend on threads, nor on what is kept in memory") {
  const ScoreCase c = small_network();
  const SampleSource source = smooth_samples({1, 3, 8, 8}, 333);
  const std::string one = text_form(repaired(c, kKept, source).graph);
  RepairOptions options;
  options.threads = 3;
  CHECK(text_form(repaired(c, kKept, source, options).graph) == one);
  options.cache_bytes = 0;
  CHECK(text_form(repaired(c, kKept, source, options).graph) == one);
}

TEST_CASE("nothing removed, nothing repaired; no data is an error") {
  const ScoreCase c = small_network();
  const KeptChannels all = {{0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 2, 3, 4, 5}};
  const Outcome outcome = repaired(c, all, smooth_samples({1, 3, 8, 8}, 10));
  CHECK(outcome.rows.empty());
  CHECK(text_form(outcome.graph) == text_form(c.graph));
  CHECK_THROWS_AS(repaired(c, kKept, SampleSource{}), Error);
}

TEST_CASE("repaired layers are never worse on the fitted rows, even with few samples") {
  const ScoreCase c = small_network();
  for (const size_t samples : {1, 3, 20})
    for (const double ridge : {0.0, 1e-3, 1e3}) {
      RepairOptions options;
      options.ridge = ridge;
      const Outcome outcome =
          repaired(c, {{7}, {0, 4}}, smooth_samples({1, 3, 8, 8}, samples), options);
      for (const RepairRow& row : outcome.rows) CHECK(row.error_after <= row.error_before);
    }
}

TEST_CASE("least squares of Conv agrees with a direct solution") {
  check_layer(one_layer(OpKind::kConv, {1, 4, 9, 7}, {3, 4, 3, 3},
                        ints({{"strides", {2, 1}}, {"pads", {1, 0, 2, 1}}}), 3),
              true);
  Attributes grouped = ints({{"dilations", {2, 2}}});
  grouped.set("group", int64_t{2});
  check_layer(one_layer(OpKind::kConv, {2, 6, 8, 8}, {4, 3, 2, 3}, grouped, 0), true);
  Attributes same;
  same.set("auto_pad", std::string("SAME_LOWER"));
  check_layer(one_layer(OpKind::kConv, {1, 4, 20}, {3, 4, 4}, same, 3), true);
  check_layer(one_layer(OpKind::kConv, {1, 4, 5, 4, 6}, {2, 4, 2, 1, 3}, {}, 2), true);
}

TEST_CASE("least squares of Gemm and MatMul agrees with a direct solution") {
  Attributes transposed;
  transposed.set("transB", int64_t{1});
  check_layer(one_layer(OpKind::kGemm, {2, 10}, {4, 10}, transposed, 4), true);
  check_layer(one_layer(OpKind::kGemm, {2, 10}, {10, 4}, {}, 0), true);
  check_layer(one_layer(OpKind::kMatMul, {2, 5, 10}, {10, 4}, {}, 0), false);
  check_layer(one_layer(OpKind::kMatMul, {2, 5, 10}, {10, 4}, {}, 4), true);
}

TEST_CASE("an autoregressive state is the dense network's") {
  OneLayer c = one_layer(OpKind::kGemm, {1, 10}, {10, 4}, {}, 4);
  for (Graph* g : {&c.dense, &c.pruned}) {
    const ValueId state = g->add_input("state", tensor_type(DType::kFloat32, dims_of({1, 4})));
    const ValueId sum = g->add_op(OpKind::kAdd, {g->outputs()[0], state}, "sum");
    g->set_outputs({g->add_op(OpKind::kTanh, {sum}, "next")});
    infer_shapes(*g);
  }
  SampleSource source = smooth_samples({1, 10}, 100);
  source.carry = {{"next", "state"}};
  source.sample = [plain = source.sample](size_t i) {
    std::vector<Tensor> inputs = plain(i);
    inputs.push_back(Tensor::of<float>({1, 4}, std::vector<float>(4, 0)));
    return inputs;
  };
  const std::vector<RepairRow> rows = repair(c.dense, c.pruned, {}, source, {});
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].error_after < rows[0].error_before);
}

TEST_CASE("an LSTM that lost inputs and units is fitted to the dense one's gates") {
  for (const bool both : {false, true}) {
    const int64_t directions = both ? 2 : 1;
    Graph dense;
    const ValueId x = dense.add_input("x", tensor_type(DType::kFloat32, dims_of({12, 1, 5})));
    const ValueId gate =
        dense.add_constant("gate", Tensor::of<float>({5}, std::vector<float>(5, 1)));
    const ValueId gated = dense.add_op(OpKind::kMul, {x, gate}, "gated", {}, "mul");
    Attributes attributes;
    attributes.set("hidden_size", int64_t{8});
    attributes.set("direction", std::string(both ? "bidirectional" : "forward"));
    const auto constant = [&](const char* name, const Shape& shape, uint64_t seed) {
      return dense.add_constant(name, normal_tensor(shape, seed, 0.4f));
    };
    const ValueId y =
        dense.add_op(OpKind::kLSTM,
                     {gated, constant("W", {directions, 32, 5}, 1),
                      constant("R", {directions, 32, 8}, 2), constant("B", {directions, 64}, 3)},
                     "y", attributes, "lstm");
    dense.set_outputs({y});
    infer_shapes(dense);
    Graph pruned = dense;
    pruned.set_constant(gate, Tensor::of<float>({5}, {1, 0, 1, 1, 1}));
    const Graph plain = pruned;
    const SampleSource source = smooth_samples({12, 1, 5}, 200);
    const std::vector<RepairRow> rows = repair(dense, pruned, {}, source, {});
    verify(pruned, "repair");
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].method == RepairMethod::kLeastSquares);
    CHECK(rows[0].rows == 175 * 12);
    CHECK(rows[0].error_after < 0.9 * rows[0].error_before);
    CHECK(output_error(dense, pruned, {12, 1, 5}) < 0.9 * output_error(dense, plain, {12, 1, 5}));
    // The reported error is that of the outputs on the held-out samples.
    const Interpreter a(dense);
    const Interpreter b(pruned);
    double error = 0;
    double square = 0;
    for (size_t i = 0; i < source.count; ++i) {
      if (!is_held_out(i, source.count)) continue;
      const std::vector<double> wanted = a.run_tensors(source.sample(i))[0].to_double();
      const std::vector<double> got = b.run_tensors(source.sample(i))[0].to_double();
      for (size_t k = 0; k < got.size(); ++k) {
        error += (wanted[k] - got[k]) * (wanted[k] - got[k]);
        square += wanted[k] * wanted[k];
      }
    }
    CHECK(rows[0].error_after == doctest::Approx(error / square).epsilon(1e-3));
  }
}

TEST_CASE("masked weights keep their zeros and get a better bias") {
  const ScoreCase c = small_network();
  Graph graph = c.graph;
  ElementMaskOptions masks;
  masks.sparsity = 0.7;
  apply_element_masks(graph, plan_element_masks(graph, masks));
  const Graph plain = graph;
  const std::vector<ElementCount> before = count_zeros(graph);
  const std::vector<RepairRow> rows =
      repair(c.graph, graph, {}, smooth_samples({1, 3, 8, 8}, 500), {});
  REQUIRE(rows.size() == 4);  // with the BatchNormalization
  const std::vector<ElementCount> after = count_zeros(graph);
  for (size_t i = 0; i < before.size(); ++i) CHECK(after[i].zeros == before[i].zeros);
  for (const RepairRow& row : rows) CHECK(row.error_after <= row.error_before);
  CHECK(rows[0].method == RepairMethod::kBias);
  CHECK(rows[1].method == RepairMethod::kStatistics);
  const Shape shape = {1, 3, 8, 8};
  CHECK(output_error(c.graph, graph, shape) < output_error(c.graph, plain, shape));
}

TEST_CASE("statistics of a BatchNormalization are measured again") {
  ScoreCase c = small_network();
  Graph graph = c.graph;
  // A bias of 3 in front of the norm shifts every channel; the norm's mean can take it back.
  graph.set_constant(graph.find_value("b1"), Tensor::of<float>({8}, std::vector<float>(8, 3)));
  const std::vector<RepairRow> rows =
      repair(c.graph, graph, {}, smooth_samples({1, 3, 8, 8}, 500), {});
  REQUIRE_FALSE(rows.empty());
  CHECK(rows[0].node == "norm");
  CHECK(rows[0].method == RepairMethod::kStatistics);
  CHECK(rows[0].error_after < 0.5 * rows[0].error_before);
  const std::vector<double> mean = graph.constant(graph.find_value("mean"))->to_double();
  for (const double m : mean) CHECK(std::fabs(m - 3) < 1.0);
}

TEST_CASE("kept_outputs tells the positions of every layer's outputs") {
  const ScoreCase c = small_network();
  const KeptOutputs outputs = kept_outputs(c.graph, c.groups, kKept);
  CHECK(outputs.at("first") == std::vector<int32_t>{0, 2, 3, 5, 6});
  CHECK(outputs.at("norm") == std::vector<int32_t>{0, 2, 3, 5, 6});
  CHECK(outputs.at("second") == std::vector<int32_t>{0, 1, 3, 5});
  CHECK_FALSE(outputs.contains("last"));
}

TEST_CASE("positions are spread, ascending, and follow the seed") {
  CHECK(choose_positions(3, 5, 0, 0) == std::vector<int64_t>{0, 1, 2});
  const std::vector<int64_t> some = choose_positions(100, 8, 7, 3);
  REQUIRE(some.size() == 8);
  for (size_t i = 0; i < 8; ++i) {
    CHECK(some[i] >= static_cast<int64_t>(i) * 12);
    CHECK(some[i] <= static_cast<int64_t>(i) * 12 + 17);
    if (i > 0) CHECK(some[i] > some[i - 1]);
  }
  CHECK(some == choose_positions(100, 8, 7, 3));
  CHECK(some != choose_positions(100, 8, 8, 3));
}

TEST_CASE("biases of masked layers behind each other make up for the masks together") {
  const ScoreCase c = small_network();
  Graph masked = c.graph;
  ElementMaskOptions options;
  options.sparsity = 0.6;
  apply_element_masks(masked, plan_element_masks(masked, options));
  const SampleSource source = smooth_samples({1, 3, 8, 8}, 64);
  const std::vector<RepairRow> rows = repair(c.graph, masked, {}, source, {});
  REQUIRE(rows.size() >= 3);
  // The last layer's bias is fitted to what the layers before it compute by then.
  const Interpreter a(c.graph);
  const Interpreter b(masked);
  std::vector<double> means(5, 0.0);
  double size = 0;
  for (size_t i = 0; i < source.count; ++i) {
    const std::vector<double> wanted = a.run_tensors(source.sample(i))[0].to_double();
    const std::vector<double> got = b.run_tensors(source.sample(i))[0].to_double();
    for (size_t k = 0; k < means.size(); ++k) {
      means[k] += (wanted[k] - got[k]) / static_cast<double>(source.count);
      size += std::fabs(wanted[k]) / static_cast<double>(source.count * means.size());
    }
  }
  for (const double mean : means) CHECK(std::fabs(mean) < 1e-4 * size);
}

}  // namespace lathe
