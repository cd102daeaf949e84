// Plans divided into parts of their rows, and run that way.
#include <doctest/doctest.h>

#include <cstring>

#include "ir/error.h"
#include "plan/divide_plan.h"
#include "program/batch_program.h"
#include "run_plan.h"
#include "small_plan.h"

namespace lathe {
namespace {

using test::Outputs;
using test::SmallPlan;

Outputs run_in_parts(const NativePlan& plan, const Outputs& inputs, int64_t parts, int threads,
                     std::vector<size_t>* observed = nullptr) {
  ProgramOptions options;
  options.threads = threads;
  BatchProgram program(plan, parts, options);
  CHECK(program.parts() == parts);
  CHECK(program.arena_bytes() == batch_arena_bytes(plan, parts, threads));
  const Outputs outputs = test::run_program(program, inputs);
  // What the first run left in memory must not show.
  Program::StepObserver observer;
  if (observed != nullptr)
    observer = [&](size_t step, int64_t duration_ns) {
      CHECK(duration_ns > 0);
      observed->push_back(step);
    };
  CHECK(test::run_program(program, inputs, observer) == outputs);
  return outputs;
}

/// A plan of one step.
template <class Make>
std::optional<NativePlan> divided(int64_t parts, const Make& make) {
  SmallPlan s;
  make(s);
  place_blocks(s.plan);
  verify_plan(s.plan);
  return divide_plan(s.plan, parts);
}

}  // namespace

TEST_CASE("a part is the plan of fewer samples") {
  const std::optional<NativePlan> part = divide_plan(test::images_plan(12), 4);
  REQUIRE(part);
  const NativePlan wanted = test::images_plan(3);
  REQUIRE(part->views.size() == wanted.views.size());
  for (size_t i = 0; i < wanted.views.size(); ++i) {
    CHECK(part->views[i].shape == wanted.views[i].shape);
    CHECK(part->views[i].strides == wanted.views[i].strides);
  }
  for (size_t i = 0; i < wanted.blocks.size(); ++i) {
    CHECK(part->blocks[i].bytes == wanted.blocks[i].bytes);
    CHECK(part->blocks[i].offset == wanted.blocks[i].offset);
  }
  CHECK(part->arena_bytes == wanted.arena_bytes);
  CHECK(part->arena_lower_bound == wanted.arena_lower_bound);
  CHECK(part_bytes(*part, part->inputs[0]) == 3 * 6 * 36 * 4);
  CHECK_FALSE(divide_plan(test::images_plan(12), 5));
  CHECK_FALSE(divide_plan(test::images_plan(12), 24));
  CHECK_FALSE(divide_plan(test::images_plan(12), 1));
}

TEST_CASE("parts give the bytes of the whole for any number of threads") {
  const NativePlan plan = test::images_plan(12, 9);
  // Without AVX-512 oneDNN multiplies by GEMM, which sums a few rows in another order than many.
  const bool gemm = best_kernel_isa() != KernelIsa::kAvx512Vnni;
  const Outputs inputs = test::seeded_inputs(plan, 3);
  const Outputs wanted = test::run(plan, inputs, {});
  for (const int threads : {1, 2, 3, 5, 16}) {
    for (const int64_t parts : {1, 2, 3, 4, 6, 12}) {
      CAPTURE(threads);
      CAPTURE(parts);
      const Outputs found = run_in_parts(plan, inputs, parts, threads);
      CHECK(found.front() == wanted.front());
      CHECK((gemm || found == wanted));
      CHECK(found == run_in_parts(plan, inputs, parts, 1));
    }
  }
}

TEST_CASE("steps of parts are observed once a run") {
  const NativePlan plan = test::images_plan(12, 9);
  const Outputs inputs = test::seeded_inputs(plan, 3);
  // Threads alone; alone and together; together.
  for (const int64_t parts : {4, 3, 2}) {
    std::vector<size_t> observed;
    run_in_parts(plan, inputs, parts, parts == 2 ? 4 : 2, &observed);
    REQUIRE(observed.size() == plan.steps.size());
    for (size_t i = 0; i < observed.size(); ++i) CHECK(observed[i] == i);
  }
}

TEST_CASE("rows that depend on each other are not divided") {
  // Time comes first, and ranges are those of all rows.
  CHECK_FALSE(divide_plan(test::every_step_plan(4), 2));
  CHECK_FALSE(divided(2, [](SmallPlan& s) {
    s.step(ReduceStep{s.input(DType::kFloat32, {4, 3}),
                      s.output(DType::kFloat32, {1, 3}),
                      ReduceStep::Kind::kMean,
                      {0}});
  }));
  CHECK_FALSE(divided(2, [](SmallPlan& s) {
    s.step(SoftmaxStep{s.input(DType::kFloat32, {4}), s.output(DType::kFloat32, {4}), false});
  }));
  CHECK_FALSE(divided(2, [](SmallPlan& s) {
    s.step(LayerNormStep{
        s.input(DType::kFloat32, {4, 3}), s.output(DType::kFloat32, {4, 3}), {}, {}, 2, 1e-5F});
  }));
  // Each sample with every other.
  CHECK_FALSE(divided(2, [](SmallPlan& s) {
    const ViewId x = s.input(DType::kFloat32, {4, 4});
    s.step(FloatMatMulStep{x, x, s.output(DType::kFloat32, {4, 4}), {}, 1, {}});
  }));
  // Matrices of each sample are its own.
  CHECK(divided(2, [](SmallPlan& s) {
    const ViewId x = s.input(DType::kFloat32, {4, 5, 5});
    s.step(FloatMatMulStep{x, x, s.output(DType::kFloat32, {4, 5, 5}), {}, 1, {}});
  }));
}

TEST_CASE("arrays whose samples lie elsewhere are not divided") {
  const auto copied = [](auto change) {
    return divided(2, [&](SmallPlan& s) {
      const ViewId x = s.input(DType::kFloat32, {4, 4});
      PlanView view = s.view(x);
      change(view);
      s.step(CopyStep{s.add_view(view), s.output(DType::kFloat32, {4, 4})});
    });
  };
  CHECK(copied([](PlanView&) {}));
  CHECK_FALSE(copied([](PlanView& v) { std::swap(v.strides[0], v.strides[1]); }));
  CHECK_FALSE(copied([](PlanView& v) {
    v.strides[0] = -4;
    v.offset = 12;
  }));
  CHECK_FALSE(copied([](PlanView& v) { v.strides[0] = 0; }));
  // The first two samples only, twice.
  CHECK_FALSE(divided(2, [](SmallPlan& s) {
    const ViewId x = s.input(DType::kFloat32, {4, 4});
    PlanView view = s.view(x);
    view.shape = {2, 4};
    s.step(CopyStep{s.add_view(view), s.output(DType::kFloat32, {2, 4})});
  }));
  // A constant of each sample; one of all is divided with them.
  const auto added = [](int64_t stride) {
    return divided(2, [&](SmallPlan& s) {
      const ViewId x = s.input(DType::kFloat32, {4, 4});
      const ViewId c = s.factors({4, 4});
      s.view(c).strides[0] = stride;
      s.step(ElementwiseProgramStep{
          {x, c}, s.output(DType::kFloat32, {4, 4}), {{ElementwiseKind::kAdd, 0, 1, 0}}});
    });
  };
  CHECK_FALSE(added(4));
  CHECK(added(0));
  // A row of images from one sample to the next is no row of the whole.
  CHECK_FALSE(divided(4, [](SmallPlan& s) {
    const ViewId x = s.input(DType::kFloat32, {4, 6});
    const ViewId y = s.floats({4, 6});
    s.step(CopyStep{x, y});
    s.step(CopyStep{s.seen_as(y, {3, 8}), s.output(DType::kFloat32, {3, 8})});
  }));
}

TEST_CASE("a bad index in any part is an error of the run") {
  SmallPlan s;
  const ViewId indices = s.input(DType::kInt64, {6, 2});
  s.step(GatherStep{s.factors({10, 3}), indices, s.output(DType::kFloat32, {6, 2, 3}), 0});
  place_blocks(s.plan);
  for (const int threads : {1, 2}) {
    ProgramOptions options;
    options.threads = threads;
    BatchProgram program(s.plan, 3, options);
    std::vector<int64_t> given{0, 1, 2, 3, 4, 5, 6, 7, -1, 77, 9, 10};
    std::vector<float> made(36);
    const void* in[] = {given.data()};
    void* out[] = {made.data()};
    CHECK_THROWS_WITH_AS(program.run(in, out), doctest::Contains("77"), Error);
    given[9] = given[11] = 9;
    program.run(in, out);
    CHECK(made[35] == made[32]);
  }
}

TEST_CASE("large arrays are divided, small ones and those beside many weights are not") {
  CHECK(worthwhile_parts(test::images_plan(8, 6), 1) == 1);
  // 20 floats a pixel, twice: 1.8 MB a sample.
  const NativePlan large = test::images_plan(8, 106);
  CHECK(worthwhile_parts(large, 1) == 4);
  CHECK(worthwhile_parts(large, 2) == 4);
  // More threads take smaller parts, unless those give other bytes.
  const bool gemm = best_kernel_isa() != KernelIsa::kAvx512Vnni;
  CHECK(worthwhile_parts(large, 6) == (gemm ? 4 : 8));
  CHECK(worthwhile_parts(large, 9) == (gemm ? 4 : 1));
  CHECK(worthwhile_parts(test::images_plan(7, 106), 2) == 7);
  CHECK(worthwhile_parts(test::images_plan(1, 106), 1) == 1);
  // As many samples as fit.
  CHECK(worthwhile_parts(test::images_plan(64, 20), 1) == 4);
  NativePlan heavy = large;
  heavy.constants.own().resize(size_t{64} << 20);
  CHECK(worthwhile_parts(heavy, 1) == 1);
}

}  // namespace lathe
