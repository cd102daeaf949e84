// Overlaps by the order in which kernels read and write, played through byte by byte.
#include "c99/arena.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "c99/code_context.h"
#include "ir/seeded_random.h"

namespace lathe {
namespace {

struct Planned {
  NativePlan plan;

  ViewId array(int64_t channels, int64_t height, int64_t width) {
    PlanView view;
    view.dtype = DType::kUInt8;
    view.shape = {1, channels, height, width};
    view.strides = {channels * height * width, 1, width * channels, channels};
    view.block = static_cast<int32_t>(plan.blocks.size());
    plan.blocks.push_back({BlockPlace::kArena, channels * height * width, 0});
    plan.views.push_back(view);
    return {static_cast<int32_t>(plan.views.size() - 1)};
  }
  ViewId weights(Shape shape) {
    PlanView view;
    view.dtype = DType::kInt8;
    view.shape = std::move(shape);
    view.strides = dense_strides(view.shape);
    view.block = static_cast<int32_t>(plan.blocks.size());
    plan.blocks.push_back({BlockPlace::kConstant, element_count(view.shape), 0});
    plan.views.push_back(view);
    return {static_cast<int32_t>(plan.views.size() - 1)};
  }
};

int64_t out_size(int64_t in, int64_t kernel, int64_t stride, int64_t pad) {
  return (in + 2 * pad - kernel) / stride + 1;
}

TEST_CASE("a product may be written over its input as far as is read before: each byte in turn") {
  SeededRandom random(3, 0);
  const auto number = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>((random.next() % static_cast<uint64_t>(high - low + 1)));
  };
  int tight = 0;
  for (int round = 0; round < 200; ++round) {
    const int64_t kernel = number(1, 4);
    const int64_t stride = number(1, 3);
    const int64_t pad = number(0, kernel - 1);
    const int64_t in_channels = number(1, 9);
    const int64_t out_channels = number(1, 9);
    const int64_t height = number(kernel, 9);
    const int64_t width = number(kernel, 9);
    Planned p;
    ProductStep step;
    step.input = p.array(in_channels, height, width);
    const int64_t rows = out_size(height, kernel, stride, pad);
    const int64_t columns = out_size(width, kernel, stride, pad);
    step.output = p.array(out_channels, rows, columns);
    step.weights = p.weights({out_channels, kernel * kernel, in_channels});
    step.window = {kernel, kernel, stride, stride, 1, 1, pad, pad};
    const StepNeeds needs = needs_of_product(p.plan, step);
    REQUIRE(needs.overlap.has_value());
    // The kernel's order: two pixels are gathered, then all of their channels are written.
    const auto is_safe = [&](int64_t lead) {
      const int64_t base = std::max<int64_t>(0, -lead);
      std::vector<char> lost(
          static_cast<size_t>(base + std::max<int64_t>(lead, 0) + in_channels * height * width +
                              out_channels * rows * columns + 64));
      for (int64_t first = 0; first < rows * columns; first += 2) {
        const int64_t end = std::min(first + 2, rows * columns);
        for (int64_t pixel = first; pixel < end; ++pixel)
          for (int64_t ky = 0; ky < kernel; ++ky)
            for (int64_t kx = 0; kx < kernel; ++kx) {
              const int64_t y = pixel / columns * stride - pad + ky;
              const int64_t x = pixel % columns * stride - pad + kx;
              if (y < 0 || y >= height || x < 0 || x >= width) continue;
              for (int64_t c = 0; c < in_channels; ++c)
                if (lost[static_cast<size_t>(base + lead + (y * width + x) * in_channels + c)])
                  return false;
            }
        for (int64_t at = first * out_channels; at < end * out_channels; ++at)
          lost[static_cast<size_t>(base + at)] = 1;
      }
      return true;
    };
    const int64_t lead = needs.overlap->lead;
    CAPTURE(kernel);
    CAPTURE(stride);
    CAPTURE(pad);
    CHECK(is_safe(lead));
    CHECK(is_safe(lead + 3));
    if (!is_safe(lead - 1)) ++tight;
  }
  CHECK(tight > 100);
}

TEST_CASE("a chain of arrays takes what its overlaps leave, apart from what may not overlap") {
  Planned p;
  const ViewId a = p.array(8, 4, 4);
  const ViewId b = p.array(8, 4, 4);
  const ViewId c = p.array(8, 4, 4);
  p.plan.steps = {{{}, -1, FillStep{a, 0}}, {{}, -1, LookupStep{a, b, p.weights({256})}},
                  {{}, -1, CopyStep{b, c}}, {{}, -1, CopyStep{c, c}}};
  std::vector<StepNeeds> needs(4);
  Arena arena = place_arena(p.plan, needs, 8);
  CHECK(arena.bytes == 256);
  CHECK(arena.lower_bound == 256);
  needs[1].overlap = StepOverlap{a, 0, 1};
  needs[2].overlap = StepOverlap{b, 16, 1};
  needs[2].scratch_bytes = 24;
  arena = place_arena(p.plan, needs, 8);
  CHECK(arena.bytes == 128 + 16 + 24);
  CHECK(arena.lower_bound == arena.bytes);
  CHECK(arena.blocks[0] >= arena.blocks[1]);
  CHECK(arena.blocks[1] - arena.blocks[2] >= 16);
}

TEST_CASE("arrays that are alive together never share a byte but by their step's leave") {
  SeededRandom random(7, 0);
  for (int round = 0; round < 50; ++round) {
    Planned p;
    std::vector<ViewId> arrays;
    std::vector<StepNeeds> needs;
    for (int i = 0; i < 12; ++i) {
      arrays.push_back(p.array(1 + static_cast<int64_t>(random.next() % 64), 3, 3));
      if (i == 0) {
        p.plan.steps.push_back({{}, -1, FillStep{arrays[0], 0}});
        needs.emplace_back();
        continue;
      }
      const ViewId from = arrays[random.next() % static_cast<uint64_t>(i)];
      p.plan.steps.push_back({{}, -1, CopyStep{from, arrays.back()}});
      needs.emplace_back();
      needs.back().scratch_bytes = static_cast<int64_t>(random.next() % 100);
    }
    const Arena arena = place_arena(p.plan, needs, 4);
    CHECK(arena.bytes >= arena.lower_bound);
    std::vector<std::pair<int, int>> lives(12, {99, -1});
    for (size_t s = 0; s < p.plan.steps.size(); ++s) {
      const StepViews views = views_of(p.plan.steps[s]);
      for (const auto* side : {&views.reads, &views.writes})
        for (const ViewId id : *side) {
          auto& life = lives[static_cast<size_t>(view_of(p.plan, id).block)];
          life = {std::min(life.first, static_cast<int>(s)), static_cast<int>(s)};
        }
    }
    for (size_t i = 0; i < 12; ++i)
      for (size_t j = 0; j < i; ++j) {
        if (lives[i].second < lives[j].first || lives[j].second < lives[i].first) continue;
        const int64_t a = arena.blocks[i];
        const int64_t b = arena.blocks[j];
        CHECK((a + p.plan.blocks[i].bytes <= b || b + p.plan.blocks[j].bytes <= a));
      }
  }
}

}  // namespace
}  // namespace lathe
