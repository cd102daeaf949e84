#include "tracing/layer_times.h"

#include "ir/error.h"
#include "ops/op_row.h"
#include "roofline/estimate.h"
#include "run/interpreter_engine.h"
#include "small_network.h"
#include "tracing/layer_key.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

// Takes as many nanoseconds for a node as its output has elements, and more at first.
class CountingEngine : public Engine {
 public:
  CountingEngine(Graph graph, size_t& made) : graph_(std::move(graph)) { ++made; }
  std::string_view name() const override { return "counting"; }
  void prepare(const std::vector<std::vector<Tensor>>& samples) override {
    for (size_t i = 0; i < samples[0].size(); ++i)
      graph_.edit_type(graph_.inputs()[i]).dims = dims_of(samples[0][i].shape());
    infer_shapes(graph_);
  }
  void execute(size_t) override {
    // Busy at first, then with one quiet run.
    const int64_t noise = runs_ < 20    ? 1000 - 40 * static_cast<int64_t>(runs_)
                          : runs_ == 25 ? 0
                                        : 3;
    ++runs_;
    if (!observer_) return;
    for (const NodeId id : graph_.order()) {
      const ValueType& type = graph_.value(graph_.node(id).outputs[0]).type;
      observer_(id, element_count(*static_shape(*type.dims)) + noise);
    }
  }
  std::vector<RuntimeValue> run(const std::vector<RuntimeValue>&) override { return {}; }
  bool observe(NodeObserver observer) override {
    observer_ = std::move(observer);
    return true;
  }

 private:
  Graph graph_;
  NodeObserver observer_;
  size_t runs_ = 0;
};

struct Counted {
  explicit Counted(const Graph& graph)
      : times([this](const Graph& g) { return std::make_unique<CountingEngine>(g, made); },
              {Tensor::of<float>(Shape{2, 4}, std::vector<float>(8, 1))}) {
    total = times.total_ns(graph);
  }
  size_t made = 0;
  LayerTimes times;
  double total = 0;
};

// x (N x 4) -> MatMul to `width` -> Relu -> MatMul to 4 -> Relu.
Graph two_layers(int64_t width, bool equal_relus = false) {
  Graph graph;
  ValueId x = graph.add_input("x", tensor_type(DType::kFloat32, Dims{Dim::named("N"), Dim::of(4)}));
  const auto layer = [&](int64_t in, int64_t out) {
    const std::vector<float> weights(static_cast<size_t>(in * out), 0.5F);
    const ValueId w = graph.add_constant("w", Tensor::of<float>({in, out}, weights));
    return graph.add_op(OpKind::kRelu, {graph.add_op(OpKind::kMatMul, {x, w}, "h")}, "a");
  };
  x = layer(4, width);
  x = layer(width, 4);
  if (equal_relus) x = graph.add_op(OpKind::kRelu, {x}, "again");
  graph.set_outputs({x});
  infer_shapes(graph);
  return graph;
}

TEST_CASE("a network's time is the sum of the least times of its layers") {
  const Counted counted(two_layers(6));
  CHECK(counted.total == 12 + 12 + 8 + 8);
  CHECK(counted.times.table().size() == 4);
  CHECK(counted.made == 1);
  CHECK(counted.times.runs() >= 4);
}

TEST_CASE("layers that were seen before are not measured again") {
  Counted counted(two_layers(6));
  const size_t runs = counted.times.runs();
  CHECK(counted.times.total_ns(two_layers(6)) == counted.total);
  // One more layer like one that is there: known without a run, and counted twice.
  CHECK(counted.times.total_ns(two_layers(6, true)) == counted.total + 8);
  CHECK(counted.times.runs() == runs);
  CHECK(counted.made == 1);
  CHECK(counted.times.measured_networks() == 1);
  size_t nodes = 0;
  for (const auto& [key, layer] : counted.times.table()) nodes += layer.nodes;
  CHECK(nodes == 5);
  // Another width: the two layers with it are new, the last Relu is not.
  CHECK(counted.times.total_ns(two_layers(3)) == 6 + 6 + 8 + 8);
  CHECK(counted.made == 2);
  CHECK(counted.times.table().size() == 7);
  CHECK(counted.times.total_ns(two_layers(6)) == counted.total);
  CHECK(counted.made == 2);
}

TEST_CASE("layer keys tell what matters and nothing else") {
  const Graph graph = two_layers(6);
  std::vector<NodeId> order = graph.order();
  CHECK(!layer_key(graph, order[0]));  // the batch is free
  Graph fixed = graph;
  fixed.edit_type(fixed.inputs()[0]).dims = dims_of({2, 4});
  infer_shapes(fixed);
  CHECK(layer_key(fixed, order[0]) == "MatMul {} (float 2x4, const float 4x6) -> float 2x6");
  CHECK(layer_key(fixed, order[1]) != layer_key(fixed, order[3]));
  Node& node = fixed.edit(order[1]);
  const std::string plain = *layer_key(fixed, order[1]);
  node.attributes.set("alpha", 0.25F);
  CHECK(layer_key(fixed, order[1]) == "Relu {alpha=0.25} (float 2x6) -> float 2x6");
  CHECK(plain == "Relu {} (float 2x6) -> float 2x6");
}

TEST_CASE("the interpreter tells the times of layers") {
  const Graph graph = small_network(-1);
  LayerTimes times([](const Graph& g) { return std::make_unique<InterpreterEngine>(g); },
                   {small_network_input(3)});
  const double total = times.total_ns(graph);
  CHECK(total > 0);
  REQUIRE(times.table().size() == 2);
  for (const auto& [key, layer] : times.table()) CHECK(layer.ns > 0);
  CHECK(times.total_ns(graph) == total);
  CHECK(times.measured_networks() == 1);
}

TEST_CASE("a simulated latency is that of the estimate, or an error that says why") {
  DeviceRates rates;
  const Graph graph = small_network();
  CHECK_THROWS_WITH_AS(simulated_latency_ns(graph, rates), doctest::Contains("rates are not known"),
                       Error);
  rates.gops = {{"float32", 0.1}};
  rates.memory = {{std::nullopt, 2}};
  const EstimatedLatency estimate = estimate_latency(graph, rates);
  REQUIRE(estimate.ns);
  CHECK(simulated_latency_ns(graph, rates) == *estimate.ns);
  CHECK(*estimate.ns > 0);
}

}  // namespace
}  // namespace lathe
