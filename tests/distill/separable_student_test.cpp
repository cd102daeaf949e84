#include "distill/separable_student.h"

#include "student_case.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::add_numbers;
using test::count_kind;
using test::distance;
using test::numbers_of;

struct Case {
  Shape weight = {16, 4, 3, 3};
  Attributes attributes;
  bool exact = false;  // rank 1 for each input channel
  Dims input = {Dim::named("N"), Dim::of(4), Dim::of(9), Dim::of(8)};
};

Tensor rank_one(const Shape& shape) {
  int64_t area = 1;
  for (size_t i = 2; i < shape.size(); ++i) area *= shape[i];
  const std::vector<double> column = test::seeded_numbers({shape[0], shape[1]}, 8).to_double();
  const std::vector<double> filter = test::seeded_numbers({shape[1], area}, 9).to_double();
  std::vector<float> values;
  for (int64_t o = 0; o < shape[0]; ++o)
    for (int64_t i = 0; i < shape[1]; ++i)
      for (int64_t k = 0; k < area; ++k)
        values.push_back(static_cast<float>(column[static_cast<size_t>(o * shape[1] + i)] *
                                            filter[static_cast<size_t>(i * area + k)]));
  return Tensor::of<float>(shape, values);
}

Graph one_conv(const Case& what) {
  Graph graph;
  const ValueId x = graph.add_input("x", tensor_type(DType::kFloat32, what.input));
  const ValueId w = graph.add_constant(
      "w", what.exact ? rank_one(what.weight) : test::seeded_numbers(what.weight, 5));
  const ValueId b = add_numbers(graph, "b", {what.weight[0]});
  graph.set_outputs({graph.add_op(OpKind::kConv, {x, w, b}, "y", what.attributes, "conv")});
  infer_shapes(graph);
  return graph;
}

void check_exact(Case what) {
  what.exact = true;
  const Graph before = one_conv(what);
  Graph graph = before;
  const SeparablePlan plan = plan_separable(graph);
  REQUIRE(plan.rows.size() == 1);
  CHECK(plan.rows[0].relative_error < 1e-6);
  CHECK(make_separable(graph, plan) == 1);
  verify(graph, "make_separable");
  CHECK(distance(numbers_of(before), numbers_of(graph)) < 1e-5);
  CHECK((graph.outputs() == before.outputs()));
  CHECK((graph.value(graph.outputs()[0]).type.dims == before.value(before.outputs()[0]).type.dims));
  CHECK((graph.value(graph.outputs()[0]).producer == before.find_node("conv")));
  CHECK(plan_separable(graph).rows.empty());
  CHECK(count_kind(graph, OpKind::kConv) == 2);
}

}  // namespace

TEST_CASE("a convolution of rank 1 is reproduced: strides, pads, dilations, dimensions") {
  check_exact({});
  Case strided;
  strided.attributes.set("strides", std::vector<int64_t>{2, 1});
  strided.attributes.set("pads", std::vector<int64_t>{1, 0, 2, 1});
  strided.attributes.set("dilations", std::vector<int64_t>{1, 2});
  strided.attributes.set("kernel_shape", std::vector<int64_t>{3, 3});
  check_exact(strided);
  Case same;
  same.attributes.set("auto_pad", std::string("SAME_UPPER"));
  same.weight = {8, 4, 5, 2};
  check_exact(same);
  Case line;
  line.weight = {8, 6, 5};
  line.input = {Dim::of(2), Dim::of(6), Dim::of(11)};
  check_exact(line);
  Case volume;
  volume.weight = {8, 4, 2, 3, 2};
  volume.input = {Dim::of(1), Dim::of(4), Dim::of(4), Dim::of(5), Dim::of(4)};
  check_exact(volume);
}

TEST_CASE("the plan tells error, parameters and products") {
  const Graph before = one_conv({});
  const SeparablePlan plan = plan_separable(before);
  REQUIRE(plan.rows.size() == 1);
  const SeparableRow& row = plan.rows[0];
  CHECK(row.name == "conv");
  CHECK(row.params_before == 16 * 4 * 9);
  CHECK(row.params_after == 4 * 9 + 16 * 4);
  Graph graph = before;
  make_separable(graph, plan);
  CHECK(*row.macs_before == count_macs(before).macs);
  CHECK(*row.macs_after == count_macs(graph).macs);
  // No other column and filter of one channel are nearer.
  CHECK(row.relative_error > 0.5);
  CHECK(row.relative_error < 1);
  const std::vector<double> w = before.constant(before.find_value("w"))->to_double();
  const std::vector<double> d = row.depthwise.to_double(), p = row.pointwise.to_double();
  const auto error = [&](double move) {
    double squares = 0, all = 0;
    for (size_t o = 0; o < 16; ++o)
      for (size_t i = 0; i < 4; ++i)
        for (size_t k = 0; k < 9; ++k) {
          const double filter = d[i * 9 + k] + (k == 3 ? move : 0);
          const double apart = w[(o * 4 + i) * 9 + k] - p[o * 4 + i] * filter;
          squares += apart * apart;
          all += w[(o * 4 + i) * 9 + k] * w[(o * 4 + i) * 9 + k];
        }
    return std::sqrt(squares / all);
  };
  CHECK(error(0) == doctest::Approx(row.relative_error).epsilon(1e-5));
  CHECK(error(0.05) > error(0));
  CHECK(error(-0.05) > error(0));
  // The largest element of every filter is positive.
  for (size_t i = 0; i < 4; ++i) {
    double largest = 0;
    for (size_t k = 0; k < 9; ++k)
      if (std::fabs(d[i * 9 + k]) > std::fabs(largest)) largest = d[i * 9 + k];
    CHECK(largest > 0);
  }
}

TEST_CASE("near misses stay") {
  const auto rows = [](const std::string& nodes) {
    const Graph graph = test::student_graph(
        "(float[N,8,6,6] x, float[16,8,3,3] w, float[16,4,3,3] grouped, float[16,8,1,1] point, "
        "float[4,8,3,3] narrow, float[8,8,3,3] square) => (y) { " +
        nodes + " }");
    return plan_separable(graph).rows.size();
  };
  CHECK(rows("y = Conv(x, w)") == 1);
  CHECK(rows("y = Conv<group = 2>(x, grouped)") == 0);
  CHECK(rows("y = Conv(x, point)") == 0);
  CHECK(rows("y = Conv(x, narrow)") == 0);
  CHECK(rows("v = Relu(w) y = Conv(x, v)") == 0);
  CHECK(rows("a = Conv<pads = [1,1,1,1]>(x, square) y = Conv(a, square)") == 0);
}

TEST_CASE("only what is selected; the bias and a constant 0 weight") {
  Case zero;
  Graph graph = one_conv(zero);
  SeparableOptions options;
  options.selects = [](const Node& node) { return node.name != "conv"; };
  CHECK(plan_separable(graph, options).rows.empty());
  graph.set_constant(graph.find_value("w"),
                     Tensor::of<float>(zero.weight, std::vector<float>(16 * 4 * 9, 0)));
  const std::vector<double> wanted = numbers_of(graph);
  const SeparablePlan plan = plan_separable(graph);
  REQUIRE(plan.rows.size() == 1);
  CHECK(plan.rows[0].relative_error == 0);
  make_separable(graph, plan);
  CHECK(distance(wanted, numbers_of(graph)) < 1e-6);
}

}  // namespace lathe
