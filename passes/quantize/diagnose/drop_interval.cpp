#include "quantize/diagnose/drop_interval.h"

#include <algorithm>
#include <cmath>

namespace lathe {
namespace {

constexpr size_t kResamplings = 2000;
constexpr double kNormal95 = 1.959963984540054;

bool is_one_item(const PairedScore& score) {
  const auto binary = [](double x) { return x == 0 || x == 1; };
  return score.weight == 1 && binary(score.before) && binary(score.after);
}

DropInterval of_proportions(const std::vector<PairedScore>& scores) {
  double lost = 0.5;
  double won = 0.5;
  for (const PairedScore& score : scores) {
    lost += score.before > score.after ? 1 : 0;
    won += score.before < score.after ? 1 : 0;
  }
  const double n = static_cast<double>(scores.size()) + 2;
  const double drop = (lost - won) / n;
  const double spread = (lost + won - (lost - won) * (lost - won) / n) / (n * n);
  const double half = kNormal95 * std::sqrt(std::max(0.0, spread));
  return {drop - half, drop + half, "paired proportions"};
}

double drop_of(double before, double after, double weight, DropKind kind) {
  if (kind == DropKind::kPoints) return weight > 0 ? (before - after) / weight : 0;
  // The same for errors against the float model, which has none.
  if (before == 0) return weight > 0 ? after / weight : 0;
  return (after - before) / before;
}

DropInterval of_resamplings(const std::vector<PairedScore>& scores, DropKind kind, uint64_t seed) {
  uint64_t state = seed;
  const auto next = [&] {  // splitmix64 (Steele, Lea, Flood 2014)
    uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  };
  std::vector<double> drops(kResamplings);
  for (double& drop : drops) {
    PairedScore sum;
    for (size_t i = 0; i < scores.size(); ++i) {
      const PairedScore& score = scores[((next() >> 32) * scores.size()) >> 32];
      sum.before += score.before;
      sum.after += score.after;
      sum.weight += score.weight;
    }
    drop = drop_of(sum.before, sum.after, sum.weight, kind);
  }
  std::sort(drops.begin(), drops.end());
  const auto at = [&](double share) {
    return drops[static_cast<size_t>(share * static_cast<double>(kResamplings - 1) + 0.5)];
  };
  return {at(0.025), at(0.975), "paired bootstrap"};
}

}  // namespace

std::optional<DropInterval> drop_interval(const std::vector<PairedScore>& scores, DropKind kind,
                                          uint64_t seed) {
  if (scores.size() < 2) return std::nullopt;
  if (kind == DropKind::kPoints && std::all_of(scores.begin(), scores.end(), is_one_item))
    return of_proportions(scores);
  return of_resamplings(scores, kind, seed);
}

}  // namespace lathe
