#include "prune/accuracy_ratios.h"

#include <cmath>

#include "ir/error.h"
#include "score_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::order_of;
using test::ScoreCase;
using test::small_network;

namespace {

// A network whose first group costs `first` and whose second `second` of the metric for each share
// that goes.
struct Costs {
  double first = 0;
  double second = 0;

  double of(const PrunePlan& plan) const {
    const auto gone = [&](size_t i) {
      const GroupPlan& group = plan.groups[i];
      return 1.0 - static_cast<double>(group.kept.size()) / group.size;
    };
    return first * gone(0) + second * gone(1);
  }
};

std::vector<SensitivityRow> rows_of(const RemovalOrder& order, const Costs& costs) {
  std::vector<SensitivityRow> rows;
  const PrunePlan whole = order.plan(0);
  for (size_t i = 0; i < 2; ++i)
    for (const double sparsity : {0.25, 0.5, 0.75}) {
      const GroupPlan& group = whole.groups[i];
      rows.push_back({group.name, group.size, sparsity,
                      static_cast<int32_t>(kept_count(sparsity, group.size)),
                      (i == 0 ? costs.first : costs.second) * sparsity});
    }
  return rows;
}

}  // namespace

TEST_CASE("the group that matters less loses more, and the whole stays within the drop") {
  const ScoreCase c = small_network();
  const RemovalOrder order = order_of(c);
  const Costs costs{0.4, 0.02};
  const RatioSearch found = search_ratios(order, rows_of(order, costs), 0.1,
                                          [&](const PrunePlan& plan) { return costs.of(plan); });
  CHECK(found.drop <= 0.1);
  CHECK(found.drop == doctest::Approx(costs.of(found.plan)));
  const auto gone = [&](size_t i) {
    return 1.0 - static_cast<double>(found.plan.groups[i].kept.size()) / found.plan.groups[i].size;
  };
  CHECK(gone(1) >= 0.5);
  CHECK(gone(0) < gone(1));
}

TEST_CASE("with room for everything, all that was scanned goes") {
  const ScoreCase c = small_network();
  const RemovalOrder order = order_of(c);
  const Costs costs{0.01, 0.01};
  int calls = 0;
  const RatioSearch found =
      search_ratios(order, rows_of(order, costs), 0.5, [&](const PrunePlan& plan) {
        ++calls;
        return costs.of(plan);
      });
  CHECK(calls == 1);
  for (size_t i = 0; i < 2; ++i)
    CHECK(static_cast<int64_t>(found.plan.groups[i].kept.size()) ==
          kept_count(0.75, found.plan.groups[i].size));
}

TEST_CASE("a drop that nothing meets ends with the code of a missed gate") {
  const ScoreCase c = small_network();
  const RemovalOrder order = order_of(c);
  const Costs costs{9, 9};
  try {
    search_ratios(order, rows_of(order, costs), 0.001, [](const PrunePlan&) { return 0.5; });
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kGateMissed);
    CHECK(error.id() == "prune.max_drop");
  }
}

TEST_CASE("sparsity is a share of the channels that a group had at first") {
  const ScoreCase c = small_network();
  const PrunePlan whole = order_of(c).plan(0);
  ChoiceOptions options;
  const int64_t size = whole.groups[0].size;
  options.original_sizes[whole.groups[0].name] = 2 * size;
  const RemovalOrder order(c.graph, c.groups,
                           score_channels(c.graph, c.groups, ChannelCriterion::kL2, {}), options);
  CHECK(static_cast<int64_t>(order.plan_sparsity(0.5).groups[0].kept.size()) == size);
  CHECK(static_cast<int64_t>(order.plan_sparsity(0.75).groups[0].kept.size()) ==
        kept_count(0.75, 2 * size));
  CHECK(static_cast<int64_t>(order.plan_sparsity(0.5).groups[1].kept.size()) ==
        kept_count(0.5, whole.groups[1].size));
}

}  // namespace lathe
