// The searches of the tuner on invented times.
#include <cmath>
#include <map>

#include "ir/seeded_random.h"
#include "tune/choose_candidates.h"
#include "tune/choose_float_layers.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

/// Times that `cost` gives, with noise that only adds: most runs a few percent, some much.
class PretendedRuns {
 public:
  PretendedRuns(std::vector<std::vector<int64_t>> costs, uint64_t seed)
      : costs_(std::move(costs)), random_(seed, 0) {}

  std::vector<int64_t> operator()(const std::vector<size_t>& candidates) {
    ++runs;
    std::vector<int64_t> times;
    for (size_t i = 0; i < candidates.size(); ++i) {
      const int64_t cost = costs_[i].at(candidates[i]);
      double noise = 0.01 * std::abs(random_.normal());
      if (random_.next() % 8 == 0) noise += 2;
      times.push_back(cost + static_cast<int64_t>(noise * static_cast<double>(cost)));
    }
    return times;
  }

  int runs = 0;

 private:
  std::vector<std::vector<int64_t>> costs_;
  SeededRandom random_;
};

std::vector<size_t> counts_of(const std::vector<std::vector<int64_t>>& costs) {
  std::vector<size_t> counts;
  for (const auto& candidates : costs) counts.push_back(candidates.size());
  return counts;
}

std::vector<size_t> chosen_by(const std::vector<std::vector<int64_t>>& costs, uint64_t seed,
                              const ChooseOptions& options = {}) {
  PretendedRuns runs(costs, seed);
  std::vector<size_t> candidates;
  for (const ChosenCandidate& candidate : choose_candidates(
           counts_of(costs), [&](const auto& taken) { return runs(taken); }, options))
    candidates.push_back(candidate.candidate);
  return candidates;
}

}  // namespace

TEST_CASE("the lower quartile") {
  CHECK(lower_quartile({}) == 0);
  CHECK(lower_quartile({7}) == 7);
  CHECK(lower_quartile({4, 1, 3, 2}) == 2);
  CHECK(lower_quartile({900, 1, 2, 800, 3, 700, 4, 600}) == 3);
}

TEST_CASE("the spread of times") {
  CHECK(spread({}) == 1);
  CHECK(spread({5, 5, 5, 5, 5}) == 1);
  CHECK(spread({100, 100, 100, 100, 150, 150, 150, 900}) == doctest::Approx(1.5));
}

TEST_CASE("an alternative wins by enough, in enough pairs") {
  const auto wins = [](int64_t now, int64_t other) {
    return other_wins({std::vector<int64_t>(12, now), std::vector<int64_t>(12, other)});
  };
  CHECK(wins(100000, 96000));
  CHECK_FALSE(wins(100000, 98000));  // noise
  CHECK_FALSE(wins(1000, 800));      // less than the clock tells
  CHECK_FALSE(wins(100000, 100000));
  CHECK_FALSE(wins(100000, 104000));
  // Much faster, but not even in two of three.
  PairedTimes rare;
  for (int i = 0; i < 12; ++i) {
    rare.now_ns.push_back(100000);
    rare.other_ns.push_back(i % 2 == 0 ? 50000 : 101000);
  }
  CHECK_FALSE(other_wins(rare));
  CHECK_FALSE(other_wins({}));
}

TEST_CASE("each step gets its fastest candidate, and stays as it is where none is faster") {
  const std::vector<std::vector<int64_t>> costs{
      {50000, 40000, 45000},           // the second
      {80000},                         // nothing to choose
      {20000, 30000},                  // the first
      {60000, 59500, 59400},           // too little to gain
      {9000, 8000, 7000, 6000, 8500},  // the fourth
      {1000, 800},                     // too little for a clock
      {40000, 40000, 20000},
  };
  constexpr uint64_t kSeed = 20260801;
  MESSAGE("seed ", kSeed);
  for (uint64_t seed = kSeed; seed < kSeed + 20; ++seed) {
    CAPTURE(seed);
    CHECK(chosen_by(costs, seed) == std::vector<size_t>{1, 0, 0, 0, 3, 0, 2});
  }
}

TEST_CASE("every candidate is looked at equally often, beside changing neighbours") {
  const std::vector<size_t> counts{4, 4, 2};
  std::map<std::pair<size_t, size_t>, int> seen;  // of the first step and the second
  std::map<size_t, int> second;
  ChooseOptions options;
  options.samples = 32;
  options.pairs = 0;
  choose_candidates(
      counts,
      [&](const std::vector<size_t>& candidates) {
        ++seen[{candidates[0], candidates[1]}];
        ++second[candidates[2]];
        return std::vector<int64_t>(3, 1000);
      },
      options);
  CHECK(seen.size() == 16);
  // And one run of the first candidates before.
  CHECK(second[0] - second[1] == 1);
}

TEST_CASE("nothing to choose from runs nothing, and time that is over ends the search") {
  PretendedRuns none({{5}, {6}}, 1);
  const auto chosen = choose_candidates(
      {1, 0}, [&](const auto& taken) { return none(taken); }, ChooseOptions{});
  CHECK(none.runs == 0);
  CHECK(chosen.size() == 2);
  ChooseOptions late;
  late.keep_on = [] { return false; };
  CHECK(chosen_by({{50000, 10000}}, 3, late) == std::vector<size_t>{0});
}

namespace {

/// A plan's time: what its layers take, and what converting between integers and floats takes in a
/// chain of layers that begins and ends with integers.
struct PretendedChain {
  std::vector<FloatLayer> layers;
  int64_t conversion = 0;
  int compared = 0;

  int64_t time(const std::set<std::string>& floats) const {
    int64_t sum = 0;
    bool before = false;
    for (const FloatLayer& layer : layers) {
      const bool now = floats.contains(layer.node);
      sum += now ? layer.float_ns : layer.integer_ns;
      sum += now != before ? conversion : 0;
      before = now;
    }
    return sum + (before ? conversion : 0);
  }
  std::set<std::string> choose() {
    return choose_float_layers(layers, [&](const auto& now, const auto& next) {
      ++compared;
      return time(next) < time(now) * 99 / 100;
    });
  }
};

using Names = std::set<std::string>;

}  // namespace

TEST_CASE("layers whose integers are faster stay integers, without a look") {
  PretendedChain chain{{{"a", 100, 300}, {"b", 100, 98}, {"c", 50, 50}}, 10};
  CHECK(chain.choose() == Names{});
  CHECK(chain.compared == 0);
}

TEST_CASE("a layer is left in float where that pays for the conversions") {
  CHECK(PretendedChain{{{"a", 100, 300}, {"b", 400, 200}, {"c", 90, 200}}, 20}.choose() ==
        Names{"b"});
  CHECK(PretendedChain{{{"a", 100, 300}, {"b", 400, 200}, {"c", 90, 200}}, 120}.choose() ==
        Names{});
}

TEST_CASE("neighbours that pay only together are left in float together") {
  CHECK(PretendedChain{{{"a", 200, 150}, {"b", 200, 150}, {"c", 200, 150}, {"d", 100, 400}}, 60}
            .choose() == Names{"a", "b", "c"});
}

TEST_CASE("of all that may win, those that do not are integers again") {
  const PretendedChain chain{
      {{"a", 500, 100}, {"b", 100, 300}, {"c", 100, 90}, {"d", 100, 300}, {"e", 500, 100}}, 30};
  CHECK(PretendedChain(chain).choose() == Names{"a", "e"});
}

}  // namespace lathe
