#include "prune/accuracy_ratios.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "ir/error.h"

namespace lathe {
namespace {

struct Point {
  double sparsity = 0;
  double drop = 0;
};

using Curves = std::map<std::string, std::vector<Point>>;

// By group, starting at (0, 0), never falling: a gain at a higher sparsity is luck.
Curves rising_curves(const std::vector<SensitivityRow>& rows) {
  Curves curves;
  for (const SensitivityRow& row : rows) {
    std::vector<Point>& curve = curves[row.group];
    if (curve.empty()) curve.push_back({});
    curve.push_back({row.sparsity, std::max(curve.back().drop, row.value)});
  }
  return curves;
}

double sparsity_within(const std::vector<Point>& curve, double allowed) {
  for (size_t i = 1; i < curve.size(); ++i) {
    if (curve[i].drop <= allowed) continue;
    const Point& a = curve[i - 1];
    const Point& b = curve[i];
    if (!std::isfinite(b.drop)) return a.sparsity;
    return a.sparsity + (b.sparsity - a.sparsity) * (allowed - a.drop) / (b.drop - a.drop);
  }
  return curve.empty() ? 0 : curve.back().sparsity;
}

// `share` of what each group can lose within `allowed` goes.
PrunePlan plan_within(const RemovalOrder& order, const Curves& curves, double allowed,
                      double share) {
  std::vector<int64_t> removed;
  for (const GroupPlan& group : order.plan(0).groups) {
    const auto curve = curves.find(group.name);
    const double sparsity =
        curve == curves.end() ? 0 : share * sparsity_within(curve->second, allowed);
    removed.push_back(group.size - kept_count(sparsity, group.size));
  }
  return order.plan_counts(removed);
}

}  // namespace

RatioSearch search_ratios(const RemovalOrder& order, const std::vector<SensitivityRow>& rows,
                          double max_drop, const std::function<double(const PrunePlan&)>& drop) {
  constexpr int kEvaluations = 9;
  const Curves curves = rising_curves(rows);
  double worst = max_drop;
  for (const auto& [group, curve] : curves)
    for (const Point& point : curve)
      if (std::isfinite(point.drop)) worst = std::max(worst, point.drop);
  const double least = std::max(max_drop, 1e-4) / 64;
  worst = std::max(worst, 2 * least);
  // From 1 to 0 the allowance falls, by its logarithm, from the worst drop to the least; from 0 to
  // -1 less and less goes of what the least allows: what groups lose alone adds up.
  const auto plan_at = [&](double position) {
    const double allowed = least * std::pow(worst / least, std::max(0.0, position));
    return plan_within(order, curves, allowed, 1 + std::min(0.0, position));
  };
  RatioSearch best;
  double low = -1;
  double high = 1;
  for (double position = high; best.evaluations < kEvaluations;
       ++best.evaluations, position = (low + high) / 2) {
    PrunePlan plan = plan_at(position);
    const double measured = plan.removed > 0 ? drop(plan) : 0;
    if (measured > max_drop) {
      high = position;
      continue;
    }
    low = position;
    if (plan.removed > best.plan.removed) {
      best.plan = std::move(plan);
      best.drop = measured;
    }
    if (position >= 1) break;
  }
  if (best.plan.removed == 0)
    throw Error(ExitCode::kGateMissed, "prune.max_drop",
                {fmt::format("nothing can go without a drop of more than {:.4g}", max_drop),
                 "--max-drop",
                 "allow more, give --data for repair, or ask for --sparsity and fine-tune"});
  return best;
}

}  // namespace lathe
