#include "tracing/op_profile.h"

#include "run/interpreter_engine.h"
#include "small_network.h"
#include "tracing/op_profile_bottleneck.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

// A machine whose clock moves only when a model runs: each node takes its own time, the profiler
// and the engine theirs.
class ClockworkEngine : public Engine {
 public:
  explicit ClockworkEngine(const Graph& graph, std::vector<int64_t> node_ns)
      : order_(graph.order()), node_ns_(std::move(node_ns)) {}

  std::string_view name() const override { return "clockwork"; }
  void prepare(const std::vector<std::vector<Tensor>>&) override {}
  std::vector<RuntimeValue> run(const std::vector<RuntimeValue>&) override { return {}; }
  void execute(size_t) override {
    ++runs;
    for (size_t i = 0; i < node_ns_.size(); ++i) {
      now += node_ns_[i];
      if (!observer_) continue;
      now += 10;
      observer_(order_[i], node_ns_[i]);
    }
    now += 100;
  }
  bool observe(NodeObserver observer) override {
    observer_ = std::move(observer);
    return true;
  }
  bool is_observed() const { return static_cast<bool>(observer_); }
  Conduct conduct() {
    return {[this] { return now; }, [this] { return runs >= stop_after; }};
  }

  int64_t now = 0;
  size_t runs = 0;
  size_t stop_after = 1'000'000;

 private:
  std::vector<NodeId> order_;
  std::vector<int64_t> node_ns_;
  NodeObserver observer_;
};

class SilentEngine : public Engine {
 public:
  std::string_view name() const override { return "silent"; }
  void prepare(const std::vector<std::vector<Tensor>>&) override {}
  void execute(size_t) override {}
  std::vector<RuntimeValue> run(const std::vector<RuntimeValue>&) override { return {}; }
};

TEST_CASE("a profile adds up to the run, the profiler's own cost apart") {
  const Graph graph = small_network();
  ClockworkEngine engine(graph, {600, 280});
  const OpProfile profile = profile_ops(engine, graph, {}, {4, 8, 1'000'000'000}, engine.conduct());
  CHECK(profile.reason.empty());
  CHECK(profile.runs == 8);
  CHECK(engine.runs == 16);
  CHECK_FALSE(engine.is_observed());
  CHECK(profile.plain_ns == 980);
  CHECK(profile.profiled_ns == 1000);
  CHECK(profile.overhead_ratio == doctest::Approx(1000.0 / 980));
  CHECK(profile.unattributed_ns == doctest::Approx(120));
  CHECK(profile.unattributed_share == doctest::Approx(0.12));
  REQUIRE(profile.ops.size() == 2);
  const OpTime& fc = profile.ops[0];
  CHECK(fc.name == "fc");
  CHECK(fc.type == "MatMul");
  CHECK(fc.output == "hidden");
  CHECK(fc.producer.empty());
  CHECK(profile.ops[1].producer == "fc");
  CHECK(fc.calls == 8);
  CHECK(fc.total_ns == 4800);
  CHECK(fc.median_ns == 600);
  CHECK(fc.share == doctest::Approx(0.6));
  CHECK(fc.cost.macs == 32);
  CHECK(fc.cost.activation_bytes == 32);
  CHECK(fc.cost.parameter_bytes == 64);
  CHECK(fc.cost.output_bytes == 32);
  CHECK(fc.cost.bytes() == 128);
  CHECK(profile.ops[1].cost.macs == 0);
  CHECK(slowest_ops(profile) == std::vector<size_t>{0, 1});
  const auto types = time_by_type(profile);
  REQUIRE(types.size() == 2);
  CHECK(types[0].type == "MatMul");
  CHECK(types[0].nodes == 1);
  CHECK(types[0].share == doctest::Approx(0.6));
  CHECK(types[1].bytes == 64);
}

TEST_CASE("a profile keeps to its time and to an interrupt") {
  const Graph graph = small_network();
  ClockworkEngine slow(graph, {1'000'000'000, 1'000'000'000});
  CHECK(profile_ops(slow, graph, {}, {2, 100, 1}, slow.conduct()).runs == 2);
  ClockworkEngine stopped(graph, {1, 1});
  stopped.stop_after = 6;
  const OpProfile cut = profile_ops(stopped, graph, {}, {}, stopped.conduct());
  CHECK(cut.interrupted);
  CHECK(cut.runs == 3);
  CHECK(cut.ops.size() == 2);
  stopped.stop_after = 0;
  const OpProfile none = profile_ops(stopped, graph, {}, {}, stopped.conduct());
  CHECK(none.ops.empty());
  CHECK_FALSE(none.reason.empty());
}

TEST_CASE("an engine that does not see nodes is told by name") {
  SilentEngine engine;
  const OpProfile profile = profile_ops(engine, small_network(), {});
  CHECK(profile.ops.empty());
  CHECK(profile.runs == 0);
  CHECK(profile.reason == "the silent engine does not tell the times of its nodes");
}

TEST_CASE("the interpreter's profile has its nodes, with costs of the inputs that it ran on") {
  const Graph graph = small_network(-1);
  InterpreterEngine engine(graph);
  engine.prepare({{small_network_input(3)}});
  const std::vector<Shape> shapes{{3, 4}};
  const OpProfile profile = profile_ops(engine, graph, shapes, {3, 3, 0});
  REQUIRE(profile.ops.size() == 2);
  CHECK(profile.ops[0].calls == 3);
  CHECK(profile.ops[0].median_ns > 0);
  CHECK(profile.ops[0].cost.macs == 48);
  CHECK(profile.ops[1].cost.output_bytes == 48);
  CHECK(profile.plain_ns > 0);
  const OpCost declared = op_cost(graph, graph.find_node("fc"));
  CHECK(declared.output_bytes == 16);
  const std::vector<Shape> wrong{{3, 5}};
  CHECK(op_cost(with_input_shapes(graph, wrong), graph.find_node("fc")).output_bytes == 16);
}

OpCost cost_of(int64_t macs, int64_t bytes) {
  OpCost cost;
  cost.macs = macs;
  cost.activation_bytes = bytes;
  return cost;
}

TEST_CASE("what holds an op back follows from the machine's peaks") {
  const MachinePeaks peaks{100e9, 400e9, 10e9};
  const BottleneckFacts compute = find_bottleneck(30'000, cost_of(1'000'000, 1000), peaks);
  CHECK(compute.bottleneck == Bottleneck::kCompute);
  CHECK(*compute.compute_ns == doctest::Approx(20'000));
  CHECK(*compute.memory_ns == doctest::Approx(100));
  CHECK(*compute.efficiency == doctest::Approx(2.0 / 3));
  CHECK(find_bottleneck(30'000, cost_of(1000, 200'000), peaks).bottleneck == Bottleneck::kMemory);
  CHECK(find_bottleneck(30'000, cost_of(1000, 1000), peaks).bottleneck == Bottleneck::kOverhead);
  CHECK(find_bottleneck(30'000, cost_of(0, 200'000), peaks).bottleneck == Bottleneck::kMemory);
  OpCost integer = cost_of(1'000'000, 1000);
  integer.integer = true;
  CHECK(*find_bottleneck(30'000, integer, peaks).compute_ns == doctest::Approx(5'000));
  CHECK(bottleneck_name(Bottleneck::kOverhead) == "overhead");
}

TEST_CASE("without a peak or a count nothing is claimed") {
  const OpCost cost = cost_of(1'000'000, 1000);
  for (const MachinePeaks& peaks : {MachinePeaks{100e9, 0, 0}, MachinePeaks{0, 0, 1e9}}) {
    const BottleneckFacts facts = find_bottleneck(1000, cost, peaks);
    CHECK(facts.bottleneck == Bottleneck::kUnknown);
    CHECK_FALSE(facts.efficiency);
    CHECK_FALSE(facts.reason.empty());
  }
  OpCost opaque = cost;
  opaque.macs = std::nullopt;
  CHECK(find_bottleneck(1000, opaque, {1e9, 1e9, 1e9}).bottleneck == Bottleneck::kUnknown);
  CHECK(find_bottleneck(0, cost, {1e9, 1e9, 1e9}).bottleneck == Bottleneck::kUnknown);
}

}  // namespace
}  // namespace lathe
