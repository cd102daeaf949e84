#include "prune/measured_budget.h"

#include "roofline/estimate.h"
#include "run/interpreter_engine.h"
#include "score_case.h"
#include "tracing/layer_times.h"

#include "channel_check.h"
#include "doctest_after_torch.h"

namespace lathe {

using test::order_of;
using test::ScoreCase;
using test::small_network;

namespace {

double macs(const Graph& graph) { return network_cost(graph, CostMetric::kMacs); }

}  // namespace

TEST_CASE("a confirmed plan is plan_budget's, a plan that costs more in truth is taken further") {
  const ScoreCase c = small_network();
  const RemovalOrder order = order_of(c);
  const PrunePlan plain = plan_budget(c.graph, c.groups, order, macs, 0.6, "latency");
  const double before = macs(c.graph);
  MeasuredPlan result = plan_measured_budget(
      c.graph, c.groups, order, macs, [&](const Graph& g) { return macs(g) / before; }, 0.6,
      "latency");
  CHECK(result.plan.removed == plain.removed);
  CHECK(result.confirmations == 1);
  CHECK(*result.confirmed_share == doctest::Approx(plain.cost_share));
  // What the sum over layers leaves out: a part that no removal makes smaller.
  const auto confirm = [&](const Graph& g) { return 0.2 + 0.8 * macs(g) / before; };
  result = plan_measured_budget(c.graph, c.groups, order, macs, confirm, 0.6, "latency");
  CHECK(*result.confirmed_share <= 0.6);
  CHECK(result.plan.removed > plain.removed);
  CHECK(result.confirmations > 1);
  Graph pruned = c.graph;
  remove_channels(pruned, c.groups, result.plan.kept());
  CHECK(confirm(pruned) == doctest::Approx(*result.confirmed_share));
  // Nobody can tell: the cost alone decides.
  result = plan_measured_budget(
      c.graph, c.groups, order, macs, [](const Graph&) { return std::optional<double>(); }, 0.6,
      "latency");
  CHECK(result.plan.removed == plain.removed);
  CHECK(!result.confirmed_share);
}

TEST_CASE("a budget that no confirmation meets says the least that was measured") {
  const ScoreCase c = small_network();
  const RemovalOrder order = order_of(c);
  const double before = macs(c.graph);
  try {
    plan_measured_budget(
        c.graph, c.groups, order, macs,
        [&](const Graph& g) { return 0.7 + 0.3 * macs(g) / before; }, 0.6, "latency");
    FAIL("it was met");
  } catch (const BudgetUnreachable& error) {
    CHECK(error.least_share() > 0.7);
    CHECK(error.least_share() < 0.8);
  }
}

TEST_CASE("a disturbed measurement does not make a budget unreachable") {
  const ScoreCase c = small_network();
  const RemovalOrder order = order_of(c);
  const double before = macs(c.graph);
  // Something else ran while the smallest network was measured.
  Graph smallest = c.graph;
  remove_channels(smallest, c.groups, order.plan(order.removable()).kept());
  const auto disturbed = [&](const Graph& g) {
    return macs(g) == macs(smallest) ? 2 * before : macs(g);
  };
  CHECK_THROWS_AS(plan_budget(c.graph, c.groups, order, disturbed, 0.5, "latency"),
                  BudgetUnreachable);
  const auto truth = [&](const Graph& g) { return macs(g) / before; };
  const MeasuredPlan result =
      plan_measured_budget(c.graph, c.groups, order, disturbed, truth, 0.5, "latency");
  CHECK(*result.confirmed_share <= 0.5);
  CHECK(result.plan.removed == plan_budget(c.graph, c.groups, order, macs, 0.5, "latency").removed);
  const auto unknown = [](const Graph&) { return std::optional<double>(); };
  CHECK_THROWS_AS(
      plan_measured_budget(c.graph, c.groups, order, disturbed, unknown, 0.5, "latency"),
      BudgetUnreachable);
}

TEST_CASE("noise in the cost does not break the promise") {
  const ScoreCase c = small_network();
  const RemovalOrder order = order_of(c);
  const double before = macs(c.graph);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    // The same graph costs the same, but neighbours are out of order.
    const auto noisy = [&](const Graph& g) {
      const auto exact = static_cast<uint64_t>(macs(g));
      const uint64_t mixed = (exact + seed) * 0x9E3779B97F4A7C15U;
      return macs(g) * (0.85 + 0.3 * static_cast<double>(mixed >> 40) / 16777216.0);
    };
    const MeasuredPlan result = plan_measured_budget(
        c.graph, c.groups, order, noisy, [&](const Graph& g) { return macs(g) / before; }, 0.5,
        "latency");
    CHECK(*result.confirmed_share <= 0.5);
    CHECK(result.plan.removed < order.removable());
  }
}

TEST_CASE("measured and simulated latencies fall with the channels, and budgets meet them") {
  test::Net net;
  const ValueId x = net.input(Shape{1, 16, 48, 48});
  ValueId h = net.relu(net.conv(x, 16, 64, 3));
  h = net.relu(net.conv(h, 64, 64, 3));
  const Graph graph = net.finish({net.conv(h, 64, 8, 3)});
  const std::vector<ChannelGroup> groups = find_channel_groups(graph);
  const RemovalOrder order(graph, groups, score_channels(graph, groups, ChannelCriterion::kL1, {}),
                           {});
  LayerTimes times([](const Graph& g) { return std::make_unique<InterpreterEngine>(g); },
                   {test::normal_tensor({1, 16, 48, 48}, 1)});
  const CostFunction measured = [&](const Graph& g) { return times.total_ns(g); };
  DeviceRates rates;
  rates.gops = {{"float32", 0.1}};
  rates.memory = {{std::nullopt, 0.16}};
  const CostFunction simulated = [&](const Graph& g) { return simulated_latency_ns(g, rates); };
  Graph pruned = graph;
  remove_channels(pruned, groups, order.plan_sparsity(0.75).kept());
  CHECK(measured(pruned) < measured(graph));
  CHECK(simulated(pruned) < 0.5 * simulated(graph));
  for (const CostFunction& cost : {measured, simulated}) {
    const PrunePlan plan = plan_budget(graph, groups, order, cost, 0.6, "latency");
    Graph smaller = graph;
    remove_channels(smaller, groups, plan.kept());
    CHECK(cost(smaller) / cost(graph) == doctest::Approx(plan.cost_share));
    CHECK(plan.cost_share <= 0.6);
  }
  const size_t runs = times.runs();
  plan_budget(graph, groups, order, measured, 0.6, "latency");
  CHECK(times.runs() == runs);
}

}  // namespace lathe
