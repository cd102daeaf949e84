// Files of plans: round trips, damage, and batches.
#include <doctest/doctest.h>

#include <algorithm>

#include "artifact/checksum.h"
#include "artifact/plan_file.h"
#include "artifact/sections.h"
#include "ir/error.h"
#include "run_plan.h"
#include "small_plan.h"

namespace lathe {

using test::bytes_of;
using test::every_step_file;
using test::every_step_plan;
using test::refusal;

namespace {

/// All of a plan, as a file has it.
std::string text_of(const NativePlan& plan) {
  PlanFile file;
  file.plan = plan;
  describe_ports(file);
  return write_plan_file(file);
}

}  // namespace

TEST_CASE("what is written is read again") {
  for (const PlanFile& file : {every_step_file(), test::fallback_file()}) {
    const std::string bytes = write_plan_file(file);
    CHECK(write_plan_file(file) == bytes);
    const PlanFile again = read_plan_file(bytes_of(bytes));
    CHECK(write_plan_file(again) == bytes);
    CHECK(again.metadata.producer == file.metadata.producer);
    CHECK(again.metadata.source_sha256 == file.metadata.source_sha256);
    CHECK(again.metadata.profile == file.metadata.profile);
    CHECK(again.partitions == file.partitions);
    CHECK(again.batch_two == file.batch_two);
    CHECK(again.plan.constants == file.plan.constants);
    REQUIRE(again.plan.steps.size() == file.plan.steps.size());
    for (size_t i = 0; i < again.plan.steps.size(); ++i) {
      CHECK(again.plan.steps[i].kind.index() == file.plan.steps[i].kind.index());
      CHECK(again.plan.steps[i].nodes == file.plan.steps[i].nodes);
      CHECK(again.plan.steps[i].node == -1);
    }
  }
}

TEST_CASE("the small plan has every kind of step but fallback, and computes something") {
  const NativePlan plan = every_step_plan(2);
  std::vector<bool> found(std::variant_size_v<StepKind>, false);
  for (const PlanStep& step : plan.steps) found[step.kind.index()] = true;
  CHECK(std::count(found.begin(), found.end(), true) == std::ssize(found) - 1);
  const test::Outputs inputs = test::seeded_inputs(plan, 7);
  const test::Outputs outputs = test::run(plan, inputs, {});
  for (const auto& bytes : outputs)
    CHECK(std::any_of(bytes.begin(), bytes.end(), [&](std::byte b) { return b != bytes[0]; }));
  for (const KernelIsa isa : {KernelIsa::kScalar, best_kernel_isa()})
    CHECK(test::run_apart(plan, inputs, {1, isa}) == outputs);
}

TEST_CASE("checksums are XXH64") {
  // From the reference implementation.
  CHECK(checksum({}) == 0xEF46DB3751D8E999);
  CHECK(checksum(bytes_of("a")) == 0xD24EC4F1A98C6E5B);
  CHECK(checksum(bytes_of("abc")) == 0x44BC2CF5AD770999);
  CHECK(checksum(bytes_of("Nobody inspects the spammish repetition")) == 0xFBCEA83C8A378BF1);
}

TEST_CASE("constants begin on a page's border") {
  const std::string bytes = write_plan_file(every_step_file());
  const PlanConstants constants = every_step_plan(1).constants;
  const std::string_view wanted(reinterpret_cast<const char*>(constants.data()), constants.size());
  REQUIRE(bytes.size() > constants.size());
  CHECK(std::string_view(bytes).substr(bytes.size() - constants.size()) == wanted);
  CHECK((bytes.size() - constants.size()) % 4096 == 0);
}

TEST_CASE("a file that is cut anywhere, or longer, is refused") {
  const std::string bytes = write_plan_file(every_step_file());
  for (size_t length = 0; length < bytes.size(); ++length) {
    const auto [code, id] = refusal(bytes.substr(0, length));
    CAPTURE(length);
    REQUIRE(code == 3);
    REQUIRE(id == (length < 32 ? "plan.format" : "plan.truncated"));
  }
  CHECK(refusal(bytes + '\0') == std::pair(3, std::string("plan.truncated")));
}

TEST_CASE("every single flipped bit is found") {
  std::string bytes = write_plan_file(test::fallback_file());
  REQUIRE(refusal(bytes).first == 0);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const auto flip = static_cast<char>(1 << bit % 8);
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ flip);
    const auto [code, id] = refusal(bytes);
    CAPTURE(bit);
    REQUIRE(code == (bit >= 64 && bit < 96 ? 6 : 3));
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ flip);
  }
}

TEST_CASE("a file of another format asks for its own version") {
  std::string bytes = write_plan_file(every_step_file());
  bytes[8] = static_cast<char>(kPlanFormatVersion + 1);
  CHECK(refusal(bytes) == std::pair(6, std::string("plan.version")));
  CHECK(refusal("PK\3\4 and more than thirty-two bytes") ==
        std::pair(3, std::string("plan.format")));
}

TEST_CASE("a description that does not fit the plan is refused") {
  const auto refused = [](auto&& change) {
    PlanFile file = every_step_file();
    change(file);
    return refusal(write_plan_file(file)) == std::pair(3, std::string("plan.invalid"));
  };
  CHECK_FALSE(refused([](PlanFile&) {}));
  CHECK(refused([](PlanFile& file) { file.metadata.inputs.clear(); }));
  CHECK(refused([](PlanFile& file) { file.metadata.outputs[0].shape.push_back(1); }));
  CHECK(refused([](PlanFile& file) { file.metadata.outputs[1].dtype = DType::kFloat32; }));
  CHECK(refused([](PlanFile& file) { file.metadata.outputs[1].has_shape = false; }));
  CHECK(refused([](PlanFile& file) { file.batch_two.pop_back(); }));
  PlanFile partitions = test::fallback_file();
  partitions.partitions.pop_back();
  CHECK(refusal(write_plan_file(partitions)).second == "plan.invalid");
}

TEST_CASE("a batch's plan follows from those of batches 1 and 2") {
  CHECK(is_on_line(every_step_plan(1), every_step_plan(2), every_step_plan(3), 2));
  CHECK(is_on_line(every_step_plan(1), every_step_plan(2), every_step_plan(9), 8));
  CHECK_FALSE(is_on_line(every_step_plan(1), every_step_plan(2), every_step_plan(9), 7));
  const PlanFile file = read_plan_file(bytes_of(write_plan_file(every_step_file())));
  for (const int64_t batch : {1, 2, 5, 64}) {
    CAPTURE(batch);
    const NativePlan plan = plan_for_batch(file, batch);
    CHECK(text_of(plan) == text_of(every_step_plan(batch)));
  }
  const NativePlan five = plan_for_batch(file, 5);
  const test::Outputs inputs = test::seeded_inputs(five, 11);
  CHECK(test::run(five, inputs, {}) == test::run(every_step_plan(5), inputs, {}));
}

TEST_CASE("the plan for batch 1 follows from those of larger batches") {
  const NativePlan one = plan_before(every_step_plan(2), every_step_plan(3));
  CHECK(text_of(one) == text_of(every_step_plan(1)));
  // Nothing is below.
  CHECK_THROWS_AS(plan_before(plan_before(one, every_step_plan(2)), one), Error);
}

TEST_CASE("choices are written and read, and stay where the machine is the same") {
  PlanFile file = every_step_file();
  file.metadata.fingerprint = "0123456789abcdef";
  file.metadata.tuned_threads = 2;
  file.plan.steps[1].choice = {"jit_int8:avx512_core", 0};
  file.plan.steps[2].choice = {"", 1};
  const PlanFile again = read_plan_file(bytes_of(write_plan_file(file)));
  for (size_t i = 0; i < file.plan.steps.size(); ++i)
    CHECK(again.plan.steps[i].choice == file.plan.steps[i].choice);
  CHECK(again.metadata.tuned_threads == 2);
  const auto kept = [&](std::string_view fingerprint, int threads, std::string& warning) {
    PlanFile here = again;
    warning = keep_own_choices(here, fingerprint, threads);
    return here.plan.steps[1].choice == file.plan.steps[1].choice &&
           here.plan.steps[2].choice == file.plan.steps[2].choice;
  };
  std::string warning;
  CHECK(kept("0123456789abcdef", 2, warning));
  CHECK(warning.empty());
  CHECK(kept("0123456789abcdef", 4, warning));
  CHECK(warning.find("for 2 threads, here are 4") != std::string::npos);
  CHECK_FALSE(kept("0123456789abcdee", 2, warning));
  CHECK(warning.find("another machine") != std::string::npos);
  // Nobody knows whose choices these are.
  file.metadata.fingerprint.clear();
  CHECK(keep_own_choices(file, "", 2).empty());
  CHECK(file.plan.steps[1].choice == StepChoice{});
  // Another batch has the same implementations; its steps may be worth more threads.
  const NativePlan three = plan_for_batch(again, 3);
  CHECK(three.steps[1].choice.implementation == "jit_int8:avx512_core");
  CHECK(three.steps[2].choice.threads == 0);
}

TEST_CASE("plans that do not grow linearly are not affine") {
  const NativePlan one = every_step_plan(1);
  const NativePlan two = every_step_plan(2);
  const auto spoiled = [&](auto&& change) {
    NativePlan three = every_step_plan(3);
    change(three);
    return !is_on_line(one, two, three, 2);
  };
  CHECK_FALSE(spoiled([](NativePlan&) {}));
  CHECK_FALSE(spoiled([](NativePlan& plan) { plan.arena_bytes += 64; }));
  CHECK(spoiled([](NativePlan& plan) { ++plan.views[3].shape[0]; }));
  CHECK(spoiled([](NativePlan& plan) { ++plan.blocks[2].bytes; }));
  CHECK(spoiled([](NativePlan& plan) { plan.views[1].scale *= 2; }));
  CHECK(spoiled([](NativePlan& plan) { plan.constants.own()[5] ^= std::byte{1}; }));
  CHECK(spoiled([](NativePlan& plan) { plan.steps.pop_back(); }));
  CHECK(spoiled([](NativePlan& plan) {
    for (PlanStep& step : plan.steps)
      if (auto* reduce = std::get_if<ReduceStep>(&step.kind)) reduce->axes = {2};
  }));
}

TEST_CASE("batches that cannot be are refused") {
  const auto code_of = [](const PlanFile& file, int64_t batch) {
    try {
      plan_for_batch(file, batch);
    } catch (const Error& error) {
      return static_cast<int>(error.code());
    }
    return 0;
  };
  PlanFile file = every_step_file();
  CHECK(code_of(file, 0) == 3);
  CHECK(code_of(file, -1) == 3);
  CHECK(code_of(file, int64_t{1} << 40) == 8);
  CHECK(code_of(file, INT64_MAX) == 8);
  file.batch_two.clear();
  CHECK(code_of(file, 1) == 0);
  CHECK(code_of(file, 2) == 3);
}

}  // namespace lathe
