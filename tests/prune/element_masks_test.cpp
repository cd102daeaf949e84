#include "prune/element_masks.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/error.h"
#include "score_case.h"

#include <doctest/doctest.h>

namespace lathe {

using test::normal_tensor;

namespace {

// Conv [5,7,3,1] with bias -> Gemm whose weight is [outputs, inputs] or the other way round.
Graph two_weights(bool transposed) {
  Graph g;
  const ValueId x = g.add_input("x", tensor_type(DType::kFloat32, dims_of({1, 7, 5, 3})));
  ValueId y = g.add_op(OpKind::kConv,
                       {x, g.add_constant("conv_w", normal_tensor({5, 7, 3, 1}, 1)),
                        g.add_constant("conv_b", normal_tensor({5}, 2))},
                       "conv_y", {}, "conv");
  y = g.add_op(OpKind::kFlatten, {y}, "flat");
  Attributes attributes;
  if (transposed) attributes.set("transB", int64_t{1});
  const Shape shape = transposed ? Shape{6, 45} : Shape{45, 6};
  y = g.add_op(OpKind::kGemm, {y, g.add_constant("gemm_w", normal_tensor(shape, 3))}, "y",
               attributes, "gemm");
  g.set_outputs({y});
  return g;
}

std::vector<float> values_of(const Graph& graph, const char* name) {
  const auto values = graph.constant(graph.find_value(name))->values<float>();
  return {values.begin(), values.end()};
}

int64_t zeros_of(const std::vector<float>& values) {
  return std::count(values.begin(), values.end(), 0.0f);
}

Graph masked(const Graph& graph, ElementPattern pattern, double sparsity,
             PruneScope scope = PruneScope::kLayer) {
  Graph result = graph;
  ElementMaskOptions options;
  options.pattern = pattern;
  options.sparsity = sparsity;
  options.scope = scope;
  apply_element_masks(result, plan_element_masks(result, options));
  return result;
}

constexpr ElementPattern kPlain = ElementPattern::kUnstructured;

}  // namespace

TEST_CASE("kept_count is exactly ceil((1-s) n)") {
  CHECK(kept_count(0.5, 10) == 5);
  CHECK(kept_count(0.5, 11) == 6);
  CHECK(kept_count(0.7, 10) == 3);  // 0.3 * 10 is a little above 3 in binary
  CHECK(kept_count(0.9, 10) == 1);
  CHECK(kept_count(0.91, 10) == 1);
  CHECK(kept_count(0, 10) == 10);
  CHECK(kept_count(1, 10) == 0);
  for (int64_t n = 1; n < 2000; ++n)
    for (int64_t percent = 0; percent <= 100; ++percent)
      CHECK(kept_count(static_cast<double>(percent) / 100, n) == ((100 - percent) * n + 99) / 100);
  CHECK_THROWS_AS(kept_count(-0.1, 10), Error);
  CHECK_THROWS_AS(kept_count(1.01, 10), Error);
  CHECK_THROWS_AS(kept_count(std::nan(""), 10), Error);
}

TEST_CASE("element sparsity zeroes exactly the smallest, biases stay") {
  const Graph before = two_weights(true);
  for (const double sparsity : {0.0, 0.3, 0.5, 0.77, 1.0}) {
    const Graph after = masked(before, kPlain, sparsity);
    for (const char* name : {"conv_w", "gemm_w"}) {
      const std::vector<float> was = values_of(before, name);
      const std::vector<float> now = values_of(after, name);
      const auto n = static_cast<int64_t>(was.size());
      CHECK(zeros_of(now) == n - std::max<int64_t>(1, kept_count(sparsity, n)));
      float largest_gone = 0;
      float smallest_left = std::numeric_limits<float>::infinity();
      for (size_t i = 0; i < was.size(); ++i) {
        if (now[i] == 0) largest_gone = std::max(largest_gone, std::fabs(was[i]));
        if (now[i] != 0) smallest_left = std::min(smallest_left, std::fabs(was[i]));
        if (now[i] != 0) CHECK(now[i] == was[i]);
      }
      CHECK(largest_gone < smallest_left);
    }
    CHECK(values_of(after, "conv_b") == values_of(before, "conv_b"));
    for (const ElementCount& count : count_zeros(after))
      CHECK(count.zeros ==
            count.elements - std::max<int64_t>(1, kept_count(sparsity, count.elements)));
  }
}

TEST_CASE("global scope counts over all weights together") {
  Graph before = two_weights(true);
  // Ten times smaller: global pruning empties this one first.
  before.set_constant(before.find_value("gemm_w"), normal_tensor({6, 45}, 3, 0.01f));
  const Graph after = masked(before, kPlain, 0.6, PruneScope::kGlobal);
  const int64_t conv = zeros_of(values_of(after, "conv_w"));
  const int64_t gemm = zeros_of(values_of(after, "gemm_w"));
  CHECK(conv + gemm == 375 - kept_count(0.6, 375));
  CHECK(gemm > 200);
  CHECK(conv < 30);
}

TEST_CASE("masks are monotone in the sparsity, idempotent, and equal values go by index") {
  Graph before = two_weights(true);
  before.set_constant(before.find_value("conv_w"),
                      Tensor::of<float>({5, 7, 3, 1}, std::vector<float>(105, -2.0f)));
  for (const ElementPattern pattern :
       {kPlain, ElementPattern::kBlock1x4, ElementPattern::kTwoOfFour})
    for (const PruneScope scope : {PruneScope::kLayer, PruneScope::kGlobal}) {
      std::vector<float> last = values_of(before, "gemm_w");
      for (const double sparsity : {0.2, 0.5, 0.9}) {
        const Graph after = masked(before, pattern, sparsity, scope);
        const std::vector<float> now = values_of(after, "gemm_w");
        for (size_t i = 0; i < now.size(); ++i)
          if (last[i] == 0) CHECK(now[i] == 0);
        last = now;
        Graph again = after;
        ElementMaskOptions options{pattern, sparsity, scope, {}};
        CHECK(apply_element_masks(again, plan_element_masks(again, options)) == 0);
      }
    }
  const std::vector<float> equal = values_of(masked(before, kPlain, 0.4), "conv_w");
  for (size_t i = 0; i < equal.size(); ++i) CHECK(equal[i] == (i < 42 ? 0.0f : -2.0f));
}

TEST_CASE("2:4 leaves the two largest of every four input channels") {
  for (const bool transposed : {true, false}) {
    const Graph before = two_weights(transposed);
    const Graph after = masked(before, ElementPattern::kTwoOfFour, 0.5);
    const auto check = [&](const char* name, size_t outer, size_t length, size_t inner) {
      const std::vector<float> was = values_of(before, name);
      const std::vector<float> now = values_of(after, name);
      for (size_t o = 0; o < outer; ++o)
        for (size_t i = 0; i < inner; ++i)
          for (size_t at = 0; at < length; at += 4) {
            const size_t size = std::min<size_t>(4, length - at);
            size_t left = 0;
            float gone = 0;
            float kept = std::numeric_limits<float>::infinity();
            for (size_t k = 0; k < size; ++k) {
              const size_t index = (o * length + at + k) * inner + i;
              if (now[index] != 0) {
                ++left;
                kept = std::min(kept, std::fabs(was[index]));
              } else {
                gone = std::max(gone, std::fabs(was[index]));
              }
            }
            CHECK(left == std::min<size_t>(2, size));
            CHECK(gone < kept);
          }
    };
    check("conv_w", 5, 7, 3);
    if (transposed)
      check("gemm_w", 6, 45, 1);
    else
      check("gemm_w", 1, 45, 6);
  }
}

TEST_CASE("block-1x4 zeroes whole blocks along the input channels, exactly counted") {
  const Graph before = two_weights(true);
  const Graph after = masked(before, ElementPattern::kBlock1x4, 0.5);
  const std::vector<float> now = values_of(after, "gemm_w");
  int64_t gone = 0;
  for (size_t row = 0; row < 6; ++row)
    for (size_t at = 0; at < 45; at += 4) {
      const size_t size = std::min<size_t>(4, 45 - at);
      const auto begin = now.begin() + static_cast<std::ptrdiff_t>(row * 45 + at);
      const int64_t zeros = std::count(begin, begin + static_cast<std::ptrdiff_t>(size), 0.0f);
      CHECK((zeros == 0 || zeros == static_cast<int64_t>(size)));
      gone += zeros > 0 ? 1 : 0;
    }
  CHECK(gone == 6 * 12 - kept_count(0.5, 6 * 12));
}

TEST_CASE("excluded nodes keep their weights; NaN names its constant; nothing to prune") {
  Graph graph = two_weights(true);
  ElementMaskOptions options;
  options.selected = [](const Node& node) { return node.name != "conv"; };
  const std::vector<ElementMask> masks = plan_element_masks(graph, options);
  REQUIRE(masks.size() == 1);
  CHECK(masks[0].constant == graph.find_value("gemm_w"));
  options.selected = [](const Node&) { return false; };
  CHECK_THROWS_AS(plan_element_masks(graph, options), Error);

  std::vector<float> bad(105, 1.0f);
  bad[7] = std::nanf("");
  graph.set_constant(graph.find_value("conv_w"), Tensor::of<float>({5, 7, 3, 1}, bad));
  try {
    plan_element_masks(graph, {});
    FAIL("NaN was accepted");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kBadInput);
    CHECK(std::string(error.what()).find("conv_w") != std::string::npos);
  }
}

}  // namespace lathe
