// Branches that are computed side by side need all their arrays at once, one after the other not.
#include "plan/step_order.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "c99/arena.h"
#include "ir/seeded_random.h"
#include "lower/lower_graph.h"
#include "onnx/text_form.h"
#include "ops/op_row.h"

namespace lathe {
namespace {

struct CopyPlan {
  NativePlan plan;

  ViewId bytes(int64_t count) {
    PlanView view;
    view.dtype = DType::kUInt8;
    view.shape = {count};
    view.strides = {1};
    view.block = static_cast<int32_t>(plan.blocks.size());
    plan.blocks.push_back({BlockPlace::kArena, count, 0});
    plan.views.push_back(view);
    return {static_cast<int32_t>(plan.views.size() - 1)};
  }
  void step(ViewId from, ViewId to) {
    PlanStep step;
    step.kind = CopyStep{from, to};
    plan.steps.push_back(step);
  }
  std::vector<StepNeeds> needs() const { return std::vector<StepNeeds>(plan.steps.size()); }
  int64_t arena_bytes() const { return place_arena(plan, needs(), 8).bytes; }
};

std::vector<size_t> order_of(const CopyPlan& made) {
  return order_for_memory(made.plan, std::vector<int64_t>(made.plan.steps.size()));
}

TEST_CASE("branches run one after the other") {
  CopyPlan made;
  const ViewId x = made.bytes(16);
  const ViewId y = made.bytes(64);
  made.step(x, x);
  std::vector<ViewId> wide;
  for (int i = 0; i < 4; ++i) {
    wide.push_back(made.bytes(1024));
    made.step(x, wide.back());
  }
  // Each branch's result is a part of one array, as of a Concat.
  for (const ViewId branch : wide) made.step(branch, y);
  const std::vector<size_t> order = order_of(made);
  CopyPlan better = made;
  better.plan = reordered(made.plan, order);
  CHECK(made.arena_bytes() >= 4 * 1024);
  CHECK(better.arena_bytes() <= 1024 + 128);
  CHECK(order_of(better) != order);
}

TEST_CASE("an order that cannot be better stays") {
  CopyPlan made;
  ViewId last = made.bytes(100);
  for (int i = 0; i < 20; ++i) {
    const ViewId next = made.bytes(100 + i);
    made.step(last, next);
    last = next;
  }
  const std::vector<size_t> order = order_of(made);
  CHECK(std::ranges::is_sorted(order));
}

TEST_CASE("what is read was written, and what is overwritten was read") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    SeededRandom random(seed, 3);
    const auto below = [&](size_t count) { return static_cast<size_t>(random.next() % count); };
    CopyPlan made;
    std::vector<ViewId> arrays;
    for (int i = 0; i < 12; ++i) arrays.push_back(made.bytes(8 + static_cast<int64_t>(below(500))));
    for (int i = 0; i < 20; ++i) made.step(arrays[below(12)], arrays[below(12)]);
    const std::vector<size_t> order = order_of(made);
    // What each array holds, as the list of steps that it came from.
    const auto contents = [&](const std::vector<size_t>& steps) {
      std::vector<std::vector<size_t>> held(arrays.size());
      for (const size_t step : steps) {
        const auto& copy = std::get<CopyStep>(made.plan.steps[step].kind);
        std::vector<size_t> value = held[static_cast<size_t>(copy.input.index)];
        value.push_back(step);
        held[static_cast<size_t>(copy.output.index)] = value;
      }
      return held;
    };
    std::vector<size_t> own(order.size());
    for (size_t i = 0; i < own.size(); ++i) own[i] = i;
    CHECK(std::ranges::is_permutation(order, own));
    CHECK(contents(order) == contents(own));
  }
}

TEST_CASE("the native engine's branches run one after the other, too") {
  std::string first, second;
  for (const char* branch : {"a", "b", "c", "d"}) {
    first += std::string("  ") + branch + "w = Conv(x, wide)\n";
    second += std::string("  ") + branch + " = Conv(" + branch + "w, narrow)\n";
  }
  Graph graph =
      parse_text("<ir_version: 8, opset_import: [\"\" : 17]>\n"
                 "g (float[1, 1, 32, 32] x) => (float[1, 4, 32, 32] y)\n"
                 "<float[16, 1, 1, 1] wide = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},"
                 " float[1, 16, 1, 1] narrow = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, "
                 "16}>\n{\n" +
                 first + second + "  y = Concat<axis = 1>(a, b, c, d)\n}")
          .graph;
  infer_shapes(graph);
  const int64_t wide = 16 * 32 * 32 * 4;
  CHECK(lower_graph(graph).plan.arena_bytes < 2 * wide);
}

}  // namespace
}  // namespace lathe
