#include "tune/choose_candidates.h"

#include <algorithm>
#include <numeric>

#include "ir/seeded_random.h"

namespace lathe {
namespace {

/// 0, 1, … below `count` in some order.
std::vector<size_t> shuffled(size_t count, SeededRandom& random) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random.next() % i]);
  return order;
}

/// The candidate of each step that seems to be the fastest.
std::vector<size_t> fastest_candidates(const std::vector<size_t>& counts, const RunCandidates& run,
                                       const ChooseOptions& options) {
  constexpr uint64_t kSeed = 9;
  SeededRandom random(kSeed, 0);
  std::vector<std::vector<std::vector<int64_t>>> times;
  for (const size_t count : counts) times.emplace_back(count);
  const size_t most = *std::max_element(counts.begin(), counts.end());
  for (int sample = 0; sample < options.samples && options.keep_on(); ++sample) {
    // One after the other each candidate of the steps that have the most, others' more than once.
    std::vector<std::vector<size_t>> orders;
    for (const size_t count : counts) orders.push_back(shuffled(count, random));
    for (size_t round = 0; round < most; ++round) {
      std::vector<size_t> candidates;
      for (const std::vector<size_t>& order : orders)
        candidates.push_back(order[round % order.size()]);
      const std::vector<int64_t> taken = run(candidates);
      for (size_t i = 0; i < counts.size(); ++i) times[i][candidates[i]].push_back(taken[i]);
    }
  }
  std::vector<size_t> fastest(counts.size(), 0);
  for (size_t i = 0; i < counts.size(); ++i)
    for (size_t candidate = 1; candidate < counts[i]; ++candidate)
      if (!times[i][candidate].empty() &&
          lower_quartile(times[i][candidate]) < lower_quartile(times[i][fastest[i]]))
        fastest[i] = candidate;
  return fastest;
}

}  // namespace

std::vector<ChosenCandidate> choose_candidates(const std::vector<size_t>& given,
                                               const RunCandidates& run,
                                               const ChooseOptions& options) {
  std::vector<ChosenCandidate> chosen(given.size());
  std::vector<size_t> counts = given;
  for (size_t& count : counts) count = std::max<size_t>(count, 1);
  if (std::all_of(counts.begin(), counts.end(), [](size_t count) { return count == 1; }))
    return chosen;
  const std::vector<size_t> first(counts.size(), 0);
  run(first);  // wakes what sleeps
  const std::vector<size_t> fastest = fastest_candidates(counts, run, options);
  std::vector<PairedTimes> times(counts.size());
  // At least a few: what keep_on ends is the looking around.
  constexpr int kFewest = 6;
  for (int pair = 0; pair < options.pairs && (pair < kFewest || options.keep_on()); ++pair) {
    // First the one, then the other.
    const bool turned = pair % 2 != 0;
    const std::vector<int64_t> a = run(turned ? fastest : first);
    const std::vector<int64_t> b = run(turned ? first : fastest);
    for (size_t i = 0; i < times.size(); ++i) {
      times[i].now_ns.push_back(turned ? b[i] : a[i]);
      times[i].other_ns.push_back(turned ? a[i] : b[i]);
    }
  }
  for (size_t i = 0; i < chosen.size(); ++i) {
    chosen[i].before_ns = chosen[i].after_ns = lower_quartile(times[i].now_ns);
    if (fastest[i] == 0 || !other_wins(times[i], options.rule)) continue;
    chosen[i].candidate = fastest[i];
    chosen[i].after_ns = lower_quartile(times[i].other_ns);
  }
  return chosen;
}

}  // namespace lathe
