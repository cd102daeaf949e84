#include "prune/prune_plan.h"

#include <algorithm>
#include <cmath>

#include "ops/op_row.h"
#include "prune/budget.h"
#include "prune/sensitivity.h"
#include "score_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::order_of;
using test::ScoreCase;
using test::small_network;

namespace {

std::vector<size_t> sizes(const PrunePlan& plan) {
  std::vector<size_t> result;
  for (const GroupPlan& group : plan.groups) result.push_back(group.kept.size());
  return result;
}

using Sizes = std::vector<size_t>;

// Every removed channel of a group scores at most what every kept one does.
void check_weakest_gone(const GroupPlan& group) {
  for (int32_t i = 0; i < group.size; ++i)
    if (!std::binary_search(group.kept.begin(), group.kept.end(), i))
      for (const int32_t left : group.kept)
        CHECK(group.scores[static_cast<size_t>(i)] <= group.scores[static_cast<size_t>(left)]);
}

}  // namespace

TEST_CASE("per layer every group loses the same share, weakest first, never all") {
  const ScoreCase c = small_network();
  const RemovalOrder order = order_of(c);
  CHECK(sizes(order.plan_sparsity(0)) == Sizes{8, 6});
  CHECK(sizes(order.plan_sparsity(0.3)) == Sizes{6, 5});
  CHECK(sizes(order.plan_sparsity(0.5)) == Sizes{4, 3});
  CHECK(sizes(order.plan_sparsity(1)) == Sizes{1, 1});
  const PrunePlan plan = order.plan_sparsity(0.5);
  CHECK(plan.removed == 7);
  CHECK(plan.channels == 14);
  for (const GroupPlan& group : plan.groups) check_weakest_gone(group);
  CHECK_THROWS_AS(order.plan_sparsity(1.5), Error);
}

TEST_CASE("global scope removes the weakest of all groups") {
  const ScoreCase c = small_network();
  ChoiceOptions options;
  options.scope = PruneScope::kGlobal;
  const std::vector<GroupScores> scores = {{{1, 2, 3, 4, 5, 6, 7, 8}, {}},
                                           {{10, 20, 30, 40, 50, 4.5}, {}}};
  const RemovalOrder order(c.graph, c.groups, scores, options);
  const PrunePlan plan = order.plan_sparsity(0.5);
  CHECK(plan.removed == 7);
  CHECK(plan.groups[0].kept == std::vector<int32_t>{6, 7});
  CHECK(plan.groups[1].kept == std::vector<int32_t>{0, 1, 2, 3, 4});
  // The best channel of a group stays even when every other one scores more.
  const PrunePlan most = order.plan_sparsity(1);
  CHECK(most.groups[0].kept == std::vector<int32_t>{7});
  CHECK(most.groups[1].kept == std::vector<int32_t>{4});
}

TEST_CASE("equal scores go by index, and plans of more removals contain those of fewer") {
  const ScoreCase c = small_network();
  const std::vector<GroupScores> equal = {{std::vector<double>(8, 1), {}},
                                          {std::vector<double>(6, 1), {}}};
  for (const PruneScope scope : {PruneScope::kLayer, PruneScope::kGlobal}) {
    ChoiceOptions options;
    options.scope = scope;
    const RemovalOrder order(c.graph, c.groups, equal, options);
    PrunePlan last = order.plan(0);
    for (int64_t count = 1; count <= order.removable(); ++count) {
      const PrunePlan plan = order.plan(count);
      CHECK(plan.removed == count);
      for (size_t g = 0; g < 2; ++g) {
        CHECK(std::includes(last.groups[g].kept.begin(), last.groups[g].kept.end(),
                            plan.groups[g].kept.begin(), plan.groups[g].kept.end()));
        CHECK(plan.groups[g].kept.back() == plan.groups[g].size - 1);
      }
      last = plan;
    }
  }
}

TEST_CASE("include, exclude, structure and blocked groups, with reasons") {
  ScoreCase c = small_network();
  ChoiceOptions options;
  options.exclude = parse_selectors({"sec*"});
  PrunePlan plan = order_of(c, options).plan_sparsity(0.5);
  CHECK(sizes(plan) == Sizes{4, 6});
  CHECK(plan.groups[1].reason == "excluded by --exclude");
  options = {};
  options.include = parse_selectors({"second"});
  plan = order_of(c, options).plan_sparsity(0.5);
  CHECK(sizes(plan) == Sizes{8, 3});
  CHECK(plan.groups[0].reason == "not among --include");
  options = {};
  options.exclude = parse_selectors({"op:Conv"});
  CHECK_THROWS_AS(order_of(c, options), Error);
  c.groups[0].hidden_units = true;
  CHECK(sizes(order_of(c).plan_sparsity(0.5)) == Sizes{8, 3});
  options = {};
  options.kind = GroupKind::kHiddenUnits;
  CHECK(sizes(order_of(c, options).plan_sparsity(0.5)) == Sizes{4, 6});
  c.groups[1].blocked = "through an op that no rule follows";
  options.kind = GroupKind::kAll;
  plan = order_of(c, options).plan_sparsity(0.5);
  CHECK(sizes(plan) == Sizes{4, 6});
  CHECK(plan.groups[1].reason == c.groups[1].blocked);
}

TEST_CASE("rounding keeps multiples, and auto leaves small groups alone") {
  const ScoreCase c = small_network();
  ChoiceOptions options;
  options.round_to = 4;
  CHECK(sizes(order_of(c, options).plan_sparsity(0.7)) == Sizes{4, 4});
  PrunePlan plan = order_of(c, options).plan_sparsity(0.3);
  CHECK(sizes(plan) == Sizes{8, 6});
  CHECK(plan.groups[0].reason == "all 8 kept: multiples of 4");
  options.round_to = 2;
  options.round_large_only = true;  // 8 = 4 * 2 takes part, 6 does not
  CHECK(sizes(order_of(c, options).plan_sparsity(0.7)) == Sizes{4, 2});
  CHECK(vector_width(load_profile("x86-64-vnni")) == 16);
  Profile small;
  small.cpu.arch = "armv7e-m";
  CHECK(vector_width(small) == 1);
  small.cpu.isa = {"avx2"};
  CHECK(vector_width(small) == 8);
}

TEST_CASE("a budget is met from below with the fewest channels") {
  const ScoreCase c = small_network();
  for (const PruneScope scope : {PruneScope::kLayer, PruneScope::kGlobal})
    for (const CostMetric metric : {CostMetric::kMacs, CostMetric::kParams, CostMetric::kBytes}) {
      ChoiceOptions options;
      options.scope = scope;
      const RemovalOrder order = order_of(c, options);
      const CostFunction cost = [&](const Graph& graph) { return network_cost(graph, metric); };
      const double before = cost(c.graph);
      for (const double share : {0.9, 0.6, 0.35}) {
        const PrunePlan plan = plan_budget(c.graph, c.groups, order, cost, share, "macs");
        const double reached = cost(test::sliced(c, plan.kept())) / before;
        CHECK(reached <= share);
        CHECK(plan.cost_share == doctest::Approx(reached));
        const PrunePlan less = order.plan(plan.removed - 1);
        CHECK(cost(test::sliced(c, less.kept())) / before > share);
      }
      CHECK(plan_budget(c.graph, c.groups, order, cost, 1, "macs").removed == 0);
    }
}

TEST_CASE("a budget that cannot be reached says the least") {
  const ScoreCase c = small_network();
  const RemovalOrder order = order_of(c);
  const CostFunction cost = [](const Graph& g) { return network_cost(g, CostMetric::kMacs); };
  const double least = cost(test::sliced(c, order.plan(order.removable()).kept())) / cost(c.graph);
  try {
    plan_budget(c.graph, c.groups, order, cost, 0.001, "macs");
    FAIL("an absurd budget was met");
  } catch (const BudgetUnreachable& error) {
    CHECK(error.code() == ExitCode::kGateMissed);
    CHECK(error.least_share() == doctest::Approx(least));
  }
  CHECK_THROWS_AS(plan_budget(c.graph, c.groups, order, cost, 0, "macs"), Error);
  CHECK_THROWS_AS(plan_budget(c.graph, c.groups, order, cost, 1.2, "macs"), Error);
}

TEST_CASE("the sensitivity scan prunes one group at a time") {
  const ScoreCase c = small_network();
  size_t evaluations = 0;
  size_t finished = 0;
  const auto rows = scan_sensitivity(
      c.graph, c.groups, order_of(c), {0, 0.5, 0.51, 1},
      [&](const Graph& graph) {
        ++evaluations;
        return network_cost(graph, CostMetric::kParams);
      },
      [&](size_t done, size_t all) {
        finished = done;
        CHECK(all == 8);
      });
  REQUIRE(rows.size() == 8);
  CHECK(finished == 8);
  CHECK(evaluations < 8);  // 50 % and 51 % of eight keep four
  const double whole = network_cost(c.graph, CostMetric::kParams);
  CHECK(rows[0].value == whole);
  CHECK(rows[1].kept == 4);
  // Four channels: 27 weights, a bias and four of the norm each, and 9 of each of 6 consumers.
  CHECK(rows[1].value == whole - 4 * (27 + 1 + 4 + 54));
  CHECK(rows[7].group == "second");
  CHECK(rows[7].kept == 1);
  CHECK(rows[7].value == whole - 5 * (72 + 1 + 45));
}

}  // namespace lathe
