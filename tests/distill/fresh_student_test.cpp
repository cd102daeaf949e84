#include "distill/fresh_student.h"

#include <algorithm>
#include <filesystem>

#include "onnx/read_model.h"
#include "passes/passes.h"
#include "student_case.h"
#include "train/parameters.h"
#include "zoo/zoo.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::add_numbers;
using test::constant_of;
using test::count_kind;
using test::deviation_of;
using test::distance;
using test::numbers_of;

// Conv - Relu - Conv - Add - LeakyRelu - ConvTranspose - (head) Conv, all with wide layers.
Graph picture_network() {
  Graph graph;
  const ValueId x = graph.add_input(
      "x", tensor_type(DType::kFloat32, Dims{Dim::named("N"), Dim::of(8), Dim::of(6), Dim::of(6)}));
  const auto weight = [&](const char* name, Shape shape) {
    return add_numbers(graph, name, shape, shape[0] + name[0]);
  };
  const auto pads = [] {
    Attributes attributes;
    attributes.set("pads", std::vector<int64_t>{1, 1, 1, 1});
    return attributes;
  };
  const ValueId a = graph.add_op(
      OpKind::kConv, {x, weight("wa", {64, 8, 3, 3}), weight("ba", {64})}, "a", pads(), "conv_a");
  const ValueId ra = graph.add_op(OpKind::kRelu, {a}, "ra");
  const ValueId b =
      graph.add_op(OpKind::kConv, {ra, weight("wb", {64, 64, 3, 3})}, "b", pads(), "conv_b");
  const ValueId sum = graph.add_op(OpKind::kAdd, {b, ra}, "sum");
  Attributes leak;
  leak.set("alpha", 0.5F);
  const ValueId rs = graph.add_op(OpKind::kLeakyRelu, {sum}, "rs", leak);
  Attributes strides;
  strides.set("strides", std::vector<int64_t>{2, 2});
  const ValueId up =
      graph.add_op(OpKind::kConvTranspose, {rs, weight("wu", {64, 32, 4, 4}), weight("bu", {32})},
                   "up", strides, "conv_up");
  const ValueId ru = graph.add_op(OpKind::kTanh, {up}, "ru");
  const ValueId head = graph.add_op(
      OpKind::kConv, {ru, weight("wh", {16, 32, 1, 1}), weight("bh", {16})}, "head", {}, "conv_h");
  const ValueId y = graph.add_op(OpKind::kSigmoid, {head}, "y");
  graph.set_outputs({y});
  infer_shapes(graph);
  return graph;
}

// Everything that is no product of a picture.
Graph sequence_network() {
  Graph graph;
  const ValueId ids =
      graph.add_input("ids", tensor_type(DType::kInt64, Dims{Dim::of(5), Dim::named("N")}));
  const ValueId words =
      graph.add_op(OpKind::kGather, {add_numbers(graph, "table", {50, 32}), ids}, "words");
  const ValueId placed =
      graph.add_op(OpKind::kAdd, {words, add_numbers(graph, "places", {5, 1, 32})}, "placed");
  Attributes hidden;
  hidden.set("hidden_size", int64_t{16});
  const ValueId states =
      graph.add_op(OpKind::kLSTM,
                   {placed, add_numbers(graph, "w", {1, 64, 32}),
                    add_numbers(graph, "r", {1, 64, 16}), add_numbers(graph, "b", {1, 128})},
                   "states", hidden);
  const ValueId norm = graph.add_op(
      OpKind::kLayerNormalization,
      {states, add_numbers(graph, "gamma", {16}), add_numbers(graph, "beta", {16})}, "norm");
  const ValueId wide =
      graph.add_op(OpKind::kMatMul, {norm, add_numbers(graph, "wide_weight", {16, 256})}, "wide");
  const ValueId biased =
      graph.add_op(OpKind::kAdd, {wide, add_numbers(graph, "wide_bias", {256})}, "biased");
  const ValueId bent =
      graph.add_op(OpKind::kPRelu, {biased, add_numbers(graph, "slope", {1})}, "bent");
  const ValueId y =
      graph.add_op(OpKind::kMatMul, {bent, add_numbers(graph, "last_weight", {256, 100})}, "y");
  graph.set_outputs({y});
  infer_shapes(graph);
  return graph;
}

bool all_are(const std::vector<double>& values, double wanted) {
  return std::all_of(values.begin(), values.end(), [&](double v) { return v == wanted; });
}

}  // namespace

TEST_CASE("make_fresh: He's deviations, by what follows a layer") {
  Graph graph = picture_network();
  CHECK(make_fresh(graph, 1) == 7);
  verify(graph, "make_fresh");
  const auto near = [&](const char* name, double deviation) {
    CAPTURE(name);
    CHECK(deviation_of(constant_of(graph, name)) == doctest::Approx(deviation).epsilon(0.04));
  };
  near("wa", std::sqrt(2.0 / 72));
  near("wb", std::sqrt(2.0 / 1.25 / 576));     // through the Add, slope 0.5
  near("wu", std::sqrt(1.0 / (64 * 16 / 4)));  // every second element in both directions; Tanh
  near("wh", std::sqrt(1.0 / 32));
  CHECK(all_are(constant_of(graph, "ba"), 0));
  CHECK(all_are(constant_of(graph, "bh"), 0));
}

TEST_CASE("make_fresh: recurrent layers, embeddings, scales, slopes") {
  Graph graph = sequence_network();
  make_fresh(graph, 4);
  const auto deviation = [&](const char* name) { return deviation_of(constant_of(graph, name)); };
  for (const char* name : {"w", "r", "b"}) {
    const std::vector<double> values = constant_of(graph, name);
    CHECK(std::all_of(values.begin(), values.end(), [](double v) { return std::fabs(v) <= 0.25; }));
    CHECK(deviation_of(values) == doctest::Approx(0.25 / std::sqrt(3)).epsilon(0.12));
  }
  CHECK(deviation("table") == doctest::Approx(0.02).epsilon(0.06));
  CHECK(deviation("places") == doctest::Approx(0.02).epsilon(0.2));
  CHECK(all_are(constant_of(graph, "gamma"), 1));
  CHECK(all_are(constant_of(graph, "beta"), 0));
  CHECK(all_are(constant_of(graph, "wide_bias"), 0));
  CHECK(all_are(constant_of(graph, "slope"), 0.25));
  CHECK(deviation("wide_weight") == doctest::Approx(std::sqrt(2 / 1.0625 / 16)).epsilon(0.05));
  CHECK(deviation("last_weight") == doctest::Approx(std::sqrt(1.0 / 256)).epsilon(0.05));
}

TEST_CASE("make_fresh: a function of seed and name alone") {
  Graph one = picture_network(), two = picture_network(), other = picture_network();
  make_fresh(one, 1);
  make_fresh(two, 1);
  make_fresh(other, 2);
  const auto same = [](const Graph& a, const Graph& b, const char* name) {
    return a.constant(a.find_value(name))->identical(*b.constant(b.find_value(name)));
  };
  CHECK(same(one, two, "wb"));
  CHECK_FALSE(same(one, other, "wb"));
  // A number that every machine must find.
  CHECK(static_cast<float>(constant_of(one, "wh")[0]) ==
        doctest::Approx(-0.14395205532677643).epsilon(1e-7));
  // More layers before change nothing.
  Graph longer = picture_network();
  const ValueId extra = longer.add_op(
      OpKind::kConv, {longer.inputs()[0], add_numbers(longer, "we", {8, 8, 1, 1})}, "extra");
  longer.replace_input(longer.find_node("conv_a"), 0, extra);
  infer_shapes(longer);
  make_fresh(longer, 1);
  CHECK(same(one, longer, "wb"));
  CHECK(deviation_of(constant_of(longer, "we")) > 0);
  CHECK(make_fresh(one, 1) == 7);
  CHECK(same(one, two, "wb"));
}

TEST_CASE("make_fresh: averages of BatchNormalization, shared vectors, half types") {
  Graph graph = test::student_graph(R"((float[N,4,5,5] x, float[8,4,3,3] w) => (y)
<float[8] ones = {1,1,1,1,1,1,1,1}, float[8] zeros = {0,0,0,0,0,0,0,0}>
{ c = Conv(x, w)  y = BatchNormalization(c, ones, zeros, ones, ones) })");
  CHECK(make_fresh(graph, 1) == 5);
  verify(graph, "make_fresh");
  const Node& norm = graph.node(graph.value(graph.find_value("y")).producer);
  const double wanted[] = {1, 0, 0, 1};
  for (size_t i = 0; i < 4; ++i)
    CHECK(all_are(graph.constant(norm.inputs[i + 1])->to_double(), wanted[i]));
  Graph half = graph;
  const Tensor stored =
      Tensor::from_bytes(DType::kFloat16, {8, 4, 3, 3}, std::vector<std::byte>(8 * 4 * 9 * 2));
  half.set_constant(half.find_value("w"), stored);
  make_fresh(half, 1);
  const Tensor& weight = *half.constant(half.find_value("w"));
  CHECK(weight.dtype() == DType::kFloat16);
  CHECK(deviation_of(weight.to_double()) > 0.1);
}

TEST_CASE("insert_batch_norm: behind every layer but the head, before Add and activation") {
  const Graph before = picture_network();
  Graph graph = before;
  CHECK(insert_batch_norm(graph) == 3);
  verify(graph, "insert_batch_norm");
  CHECK(distance(numbers_of(before), numbers_of(graph)) < 3e-5);
  for (const char* name : {"a", "b", "up"}) {
    const Node& norm = graph.node(graph.value(graph.find_value(name)).producer);
    CAPTURE(name);
    CHECK(norm.kind == OpKind::kBatchNormalization);
    const NodeId layer = graph.value(norm.inputs[0]).producer;
    CHECK(graph.node(layer).inputs.size() == 2);
    // The layer and its value are the ones that they were.
    CHECK((norm.inputs[0] == before.find_value(name)));
    CHECK((layer == before.value(before.find_value(name)).producer));
    CHECK((graph.value(norm.outputs[0]).type.dims ==
           before.value(before.find_value(name)).type.dims));
  }
  CHECK((graph.value(graph.find_value("head")).producer == before.find_node("conv_h")));
  CHECK(insert_batch_norm(graph) == 0);
  // Folded again, the nodes and names are what they were.
  CHECK(fuse_batch_norm(graph) == 3);
  eliminate_dead_nodes(graph);
  verify(graph, "fuse_batch_norm");
  CHECK(graph.node_count() == before.node_count());
  for (const char* name : {"a", "b", "up"})
    CHECK((graph.find_value(name) == before.find_value(name)));
  CHECK(distance(numbers_of(before), numbers_of(graph)) < 3e-5);
}

TEST_CASE("insert_batch_norm: what was learned is folded, too") {
  Graph graph = picture_network();
  make_fresh(graph, 1);
  insert_batch_norm(graph);
  make_fresh(graph, 1);
  for (const NodeId id : graph.node_ids()) {
    const Node node = graph.node(id);
    if (node.kind != OpKind::kBatchNormalization) continue;
    for (size_t i = 1; i < 5; ++i) {
      const int64_t channels = graph.constant(node.inputs[i])->numel();
      std::vector<float> values;
      for (const double v : test::seeded_numbers({channels}, i).to_double())
        values.push_back(static_cast<float>(i == 4 ? v * v + 0.5 : v));
      graph.set_constant(node.inputs[i], Tensor::vector(values));
    }
  }
  const std::vector<double> wanted = numbers_of(graph);
  CHECK(fuse_batch_norm(graph) == 3);
  CHECK(distance(wanted, numbers_of(graph)) < 1e-5);
}

TEST_CASE("insert_batch_norm leaves alone what has one, heads and single pixels") {
  const auto count = [](const std::string& nodes, const std::string& more = {}) {
    Graph graph = test::student_graph(
        "(float[N,2,4,4] x) => (y)\n<float[2,2,1,1] w = {1,2,3,4}, float[2,2,1,1] v = {1,0,2,1}, "
        "float[2] s = {1,2}" +
        more + ">\n{ " + nodes + " }");
    const int changes = insert_batch_norm(graph);
    verify(graph, "insert_batch_norm");
    return changes;
  };
  CHECK(count("a = Conv(x, w) r = Relu(a) y = Conv(r, v)") == 1);
  CHECK(count("a = Conv(x, w) b = BatchNormalization(a, s, s, s, s) r = Relu(b) y = Conv(r, v)") ==
        0);
  CHECK(count("a = Conv(x, w) b = InstanceNormalization(a, s, s) y = Conv(b, v)") == 0);
  // A classifier of convolutions alone, without and with a rectifier; a residual picture.
  CHECK(count("a = Conv(x, w) p = GlobalAveragePool(a) f = Flatten(p) y = Softmax(f)") == 0);
  CHECK(count("a = Conv(x, w) r = Relu(a) p = GlobalAveragePool(r) y = Flatten(p)") == 0);
  CHECK(count("a = Conv(x, w) y = Add(a, x)") == 0);
  CHECK(count("a = Conv(x, w) y = Relu(a)") == 1);
  // A gate that a single pixel opens.
  CHECK(count("p = GlobalAveragePool(x) a = Conv(p, w) r = Relu(a) b = Conv(r, v) "
              "g = Sigmoid(b) m = Mul(x, g) y = Conv(m, v)") == 0);
  // Weights that are computed.
  CHECK(count("i = Relu(w) a = Conv(x, i) r = Relu(a) y = Conv(r, v)") == 0);
  // One weight, two layers.
  CHECK(count("a = Conv(x, w, s) b = Conv(a, w, s) r = Relu(b) y = Conv(r, v)") == 2);
}

TEST_CASE("fresh students of real networks: signals keep their size") {
  for (const char* name : {"resnet18", "mobilenet_v2"}) {
    CAPTURE(name);
    Graph graph = find_zoo_network(name)->build(1).graph;
    fuse_batch_norm(graph);
    eliminate_dead_nodes(graph);
    const int layers = insert_batch_norm(graph);
    CHECK(layers == (std::string(name) == "resnet18" ? 20 : 52));
    make_fresh(graph, 1);
    verify(graph, "make_fresh");
    Graph folded = graph;
    CHECK(fuse_batch_norm(folded) == layers);
    const double size = deviation_of(numbers_of(folded));
    CHECK(size > 0.01);
    CHECK(size < 100);
  }
}

TEST_CASE("the network of the trials: every convolution and hidden layer gets one, folds again") {
  const std::string file = std::string(LATHE_SHARED_DIR) + "/models/cifar10_resnet_4b.onnx";
  if (!std::filesystem::exists(file)) {
    MESSAGE("skipped: no shared models");
    return;
  }
  const Graph before = [&] {
    Graph graph = load_onnx(file).graph;
    infer_shapes(graph);
    return graph;
  }();
  Graph graph = before;
  fuse_batch_norm(graph);
  const int layers = insert_batch_norm(graph);
  // One of its two Gemm is the classifier.
  CHECK(layers == count_kind(graph, OpKind::kConv) + 1);
  CHECK(distance(numbers_of(before), numbers_of(graph)) < 1e-4);
  make_fresh(graph, 7);
  const std::vector<double> fresh = numbers_of(graph);
  CHECK(deviation_of(fresh) > 0.05);
  CHECK(deviation_of(fresh) < 100);
  CHECK(fuse_batch_norm(graph) == layers);
  CHECK(distance(fresh, numbers_of(graph)) < 1e-4);
}

}  // namespace lathe
