#include "prune/channel_scores.h"

#include <cmath>
#include <set>

#include "ir/error.h"
#include "score_case.h"

#include "doctest_after_torch.h"

namespace lathe {

using test::normal_tensor;
using test::ScoreCase;
using test::small_network;

namespace {

double element(const ScoreCase& c, const char* name, size_t at) {
  return c.graph.constant(c.graph.find_value(name))->to_double()[at];
}

void normalize(std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  for (double& v : values) v *= static_cast<double>(values.size()) / sum;
}

// Norms of the first group's slices, computed by plain indices.
std::vector<double> expected(const ScoreCase& c, double power) {
  std::vector<double> produced(8, 0);
  std::vector<double> consumed(8, 0);
  for (size_t ch = 0; ch < 8; ++ch) {
    for (size_t i = 0; i < 27; ++i)
      produced[ch] += std::pow(std::fabs(element(c, "w1", ch * 27 + i)), power);
    for (size_t o = 0; o < 6; ++o)
      for (size_t t = 0; t < 9; ++t)
        consumed[ch] += std::pow(std::fabs(element(c, "w2", (o * 8 + ch) * 9 + t)), power);
    produced[ch] = std::pow(produced[ch] + consumed[ch], 1 / power);
  }
  normalize(produced);
  return produced;
}

void check_equal(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-9));
}

std::vector<double> first_scores(const ScoreCase& c, ChannelCriterion criterion,
                                 const CriterionData& data = {}) {
  return score_channels(c.graph, c.groups, criterion, data)[0].scores;
}

}  // namespace

TEST_CASE("l1 and l2 are norms over producers and consumers together, divided by their mean") {
  const ScoreCase c = small_network();
  check_equal(first_scores(c, ChannelCriterion::kL1), expected(c, 1));
  check_equal(first_scores(c, ChannelCriterion::kL2), expected(c, 2));
}

TEST_CASE("scores do not change with the scale of a group, so that layers compare") {
  ScoreCase c = small_network();
  const std::vector<double> before = first_scores(c, ChannelCriterion::kL2);
  for (const char* name : {"w1", "w2"}) {
    const ValueId id = c.graph.find_value(name);
    std::vector<float> scaled;
    for (const double v : c.graph.constant(id)->to_double())
      scaled.push_back(static_cast<float>(v * 1024));
    c.graph.set_constant(id, Tensor::of<float>(c.graph.constant(id)->shape(), scaled));
  }
  check_equal(first_scores(c, ChannelCriterion::kL2), before);
}

TEST_CASE("fpgm is the sum of distances to the other filters") {
  const ScoreCase c = small_network();
  std::vector<double> sums(8, 0);
  for (size_t a = 0; a < 8; ++a)
    for (size_t b = 0; b < 8; ++b) {
      double square = 0;
      for (size_t i = 0; i < 27; ++i)
        square += std::pow(element(c, "w1", a * 27 + i) - element(c, "w1", b * 27 + i), 2);
      sums[a] += std::sqrt(square);
    }
  normalize(sums);
  check_equal(first_scores(c, ChannelCriterion::kFpgm), sums);
}

TEST_CASE("bn-scale is |gamma|, and says so where there is no BatchNormalization") {
  const ScoreCase c = small_network();
  std::vector<double> gamma = c.graph.constant(c.graph.find_value("gamma"))->to_double();
  for (double& v : gamma) v = std::fabs(v);
  normalize(gamma);
  check_equal(first_scores(c, ChannelCriterion::kBnScale), gamma);
  const auto all = score_channels(c.graph, c.groups, ChannelCriterion::kBnScale, {});
  CHECK(all[0].note.empty());
  CHECK(all[1].note == "bn-scale does not apply here: l2 instead");
  check_equal(all[1].scores,
              score_channels(c.graph, c.groups, ChannelCriterion::kL2, {})[1].scores);
}

TEST_CASE("taylor sums weight times gradient, and needs gradients") {
  const ScoreCase c = small_network();
  CriterionData data;
  const ValueId w1 = c.graph.find_value("w1");
  data.gradients[w1] = normal_tensor({8, 3, 3, 3}, 77);
  data.gradients[c.graph.find_value("w2")] =
      Tensor::of<float>({6, 8, 3, 3}, std::vector<float>(432, 0));
  data.gradients[c.graph.find_value("w3")] = Tensor::of<float>({5, 54}, std::vector<float>(270, 1));
  std::vector<double> sums(8, 0);
  const std::vector<double> gradient = data.gradients[w1].to_double();
  for (size_t i = 0; i < 216; ++i) sums[i / 27] += element(c, "w1", i) * gradient[i];
  for (double& v : sums) v = std::fabs(v);
  normalize(sums);
  check_equal(first_scores(c, ChannelCriterion::kTaylor, data), sums);
  CHECK_THROWS_AS(first_scores(c, ChannelCriterion::kTaylor), Error);
}

TEST_CASE("random follows the seed alone") {
  const ScoreCase c = small_network();
  CriterionData data;
  const std::vector<double> a = first_scores(c, ChannelCriterion::kRandom, data);
  CHECK(a == first_scores(c, ChannelCriterion::kRandom, data));
  CHECK(std::set<double>(a.begin(), a.end()).size() == 8);
  data.seed = 1;
  CHECK(a != first_scores(c, ChannelCriterion::kRandom, data));
}

TEST_CASE("activation is measured after the activation, for any number of threads") {
  ScoreCase c = small_network();
  // Channel 3 of the first group never gets above zero.
  std::vector<float> beta(8, 1);
  beta[3] = -1000;
  c.graph.set_constant(c.graph.find_value("beta"), Tensor::of<float>({8}, beta));
  const Interpreter interpreter(c.graph);
  const SampleSource samples = test::smooth_samples({1, 3, 8, 8}, 40);
  SampleRunOptions options;
  CriterionData data;
  data.activations = measure_activations(interpreter, c.groups, samples, options);
  options.threads = 3;
  CHECK(data.activations == measure_activations(interpreter, c.groups, samples, options));
  const auto scores = score_channels(c.graph, c.groups, ChannelCriterion::kActivation, data);
  CHECK(scores[0].scores[3] == 0);
  CHECK(scores[0].scores[2] > 0.1);
  CHECK(scores[1].scores.size() == 6);
  CHECK(scores[0].note.empty());
}

TEST_CASE("blocked groups have no scores; NaN weights name the constant; names round trip") {
  ScoreCase c = small_network();
  c.groups[0].blocked = "for a reason";
  CHECK(first_scores(c, ChannelCriterion::kL1).empty());
  c.groups[0].blocked.clear();
  std::vector<float> bad(216, 1);
  bad[5] = -INFINITY;
  c.graph.set_constant(c.graph.find_value("w1"), Tensor::of<float>({8, 3, 3, 3}, bad));
  try {
    first_scores(c, ChannelCriterion::kL1);
    FAIL("infinite weights were accepted");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kBadInput);
    CHECK(std::string(error.what()).find("w1") != std::string::npos);
  }
  for (const char* name : {"l1", "l2", "fpgm", "bn-scale", "taylor", "activation", "random"})
    CHECK(criterion_name(*criterion_from_name(name)) == name);
  CHECK_FALSE(criterion_from_name("l3"));
}

}  // namespace lathe
