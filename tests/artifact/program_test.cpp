// Programs made of small plans: denormal numbers, threads of the host, arrays without elements.
#include <doctest/doctest.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "program/flush_denormals.h"
#include "run_plan.h"
#include "small_plan.h"

namespace lathe {
namespace {

constexpr float kDenormal = 1e-40F;

/// Large enough that two threads share the work.
NativePlan copy_by_arithmetic(int64_t size = 1 << 16) {
  test::SmallPlan s;
  const ViewId x = s.input(DType::kFloat32, {1, size});
  const ViewId y = s.output(DType::kFloat32, {1, size});
  s.step(ElementwiseProgramStep{{x}, y, {{ElementwiseKind::kAdd, 0, 0, 0}}});
  place_blocks(s.plan);
  return std::move(s.plan);
}

/// The same by oneDNN, whose threads are its own affair.
NativePlan copy_by_product() {
  test::SmallPlan s;
  const ViewId x = s.input(DType::kFloat32, {256, 64});
  const ViewId y = s.output(DType::kFloat32, {256, 64});
  std::vector<float> same(64 * 64, 0.0F);
  for (size_t i = 0; i < 64; ++i) same[i * 65] = 1;
  s.step(FloatMatMulStep{x, s.constant(Tensor::of({64, 64}, same)), y, {}, 1, {}});
  place_blocks(s.plan);
  return std::move(s.plan);
}

/// How many elements are not 0 when all that come in are denormal.
int64_t denormals_left(Program& program) {
  const NativePlan& plan = program.plan();
  const auto size = [&](const PlanValue& end) {
    return static_cast<size_t>(
        element_count(plan.views[static_cast<size_t>(end.view.index)].shape));
  };
  const std::vector<float> in(size(plan.inputs[0]), kDenormal);
  std::vector<float> out(size(plan.outputs[0]), 1);
  const void* inputs[] = {in.data()};
  void* outputs[] = {out.data()};
  program.run(inputs, outputs);
  return std::count_if(out.begin(), out.end(), [](float value) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return bits << 1 != 0;
  });
}

/// Control words of the calling thread's pool.
std::vector<unsigned> control_words(int threads) {
  std::vector<unsigned> words(static_cast<size_t>(threads));
#pragma omp parallel num_threads(threads)
  words[static_cast<size_t>(omp_get_thread_num())] = float_mode();
  return words;
}

/// Linux's names of the threads of the calling thread's pool.
std::vector<pid_t> thread_ids(int threads) {
  std::vector<pid_t> ids(static_cast<size_t>(threads));
#pragma omp parallel num_threads(threads)
  ids[static_cast<size_t>(omp_get_thread_num())] = gettid();
  return ids;
}

/// In a thread of its own, which has a pool of its own.
template <class Body>
void in_new_thread(const Body& body) {
  std::thread thread(body);
  thread.join();
}

}  // namespace

TEST_CASE("denormal numbers are 0 in every thread, and the host's threads keep their own mode") {
  for (const NativePlan& plan : {copy_by_arithmetic(), copy_by_product()}) {
    for (const int threads : {1, 2}) {
      CAPTURE(threads);
      ProgramOptions options;
      options.threads = threads;
      // Made here, run there.
      Program program(plan, options);
      std::vector<unsigned> before;
      std::vector<unsigned> after;
      int64_t left = -1;
      in_new_thread([&] {
        omp_set_num_threads(threads);
        before = control_words(threads);
        left = denormals_left(program);
        after = control_words(threads);
      });
      CHECK(left == 0);
      CHECK(after == before);
      // A pool that is made while the program runs.
      in_new_thread([&] {
        omp_set_num_threads(threads);
        left = denormals_left(program);
        after = control_words(threads);
      });
      CHECK(left == 0);
      CHECK(after == before);
      // A host that wants the same for itself.
      in_new_thread([&] {
        set_float_mode(float_mode() | kFlushAndZero);
        omp_set_num_threads(threads);
        before = control_words(threads);
        left = denormals_left(program);
        after = control_words(threads);
      });
      CHECK(left == 0);
      CHECK(after == before);
      CHECK((before[0] & kFlushAndZero) == kFlushAndZero);
    }
  }
}

TEST_CASE("making a program leaves the host's threads as they are") {
  in_new_thread([] {
    const std::vector<unsigned> before = control_words(2);
    ProgramOptions options;
    options.threads = 2;
    const Program program(copy_by_arithmetic(), options);
    CHECK(control_words(2) == before);
  });
}

TEST_CASE("a step that is not worth all threads leaves them in the pool") {
  in_new_thread([] {
    constexpr int kThreads = 4;
    ProgramOptions options;
    options.threads = kThreads;
    const std::vector<pid_t> before = thread_ids(kThreads);
    for (const int64_t size : {1024, 2560, 4096, 8192}) {
      CAPTURE(size);
      Program program(copy_by_arithmetic(size), options);
      CHECK(denormals_left(program) == 0);
      CHECK(thread_ids(kThreads) == before);
    }
  });
}

TEST_CASE("a table for an array without elements writes nothing") {
  for (const bool to_floats : {false, true}) {
    test::SmallPlan s;
    const ViewId x = s.input(DType::kUInt8, {0, 3});
    const ViewId y = s.output(to_floats ? DType::kFloat32 : DType::kUInt8, {0, 3});
    const ViewId table =
        to_floats ? s.constant(Tensor::vector(std::vector<float>(256, 7))) : s.table();
    s.step(LookupStep{x, y, table});
    place_blocks(s.plan);
    std::vector<std::byte> before(8 * 4096, std::byte{1});
    std::vector<std::byte> memory = before;
    const void* inputs[] = {before.data() + before.size() / 2};
    void* outputs[] = {memory.data() + memory.size() / 2};
    Program(s.plan, {}).run(inputs, outputs);
    CHECK(memory == before);
  }
}

TEST_CASE("steps whose arrays have no elements write nothing") {
  const NativePlan plan = test::every_step_plan(0);
  for (const int threads : {1, 2}) {
    ProgramOptions options;
    options.threads = threads;
    const test::Outputs outputs = test::run_apart(plan, test::seeded_inputs(plan, 1), options);
    for (const auto& bytes : outputs) CHECK(bytes.empty());
  }
}

}  // namespace lathe
