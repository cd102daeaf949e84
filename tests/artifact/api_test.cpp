// The C API.
#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include "api/lathe.h"
#include "artifact/plan_file.h"
#include "os/host.h"
#include "run_plan.h"
#include "small_plan.h"

namespace lathe {
namespace {

/// A handle with arrays for all inputs and outputs.
struct Handle {
  lathe_plan* plan = nullptr;
  test::Outputs inputs;
  test::Outputs outputs;
  std::vector<const void*> in;
  std::vector<void*> out;
  std::vector<size_t> in_bytes;
  std::vector<size_t> out_bytes;

  explicit Handle(const std::string& file, const lathe_options* options = nullptr) {
    status = lathe_load_memory(file.data(), file.size(), options, &plan);
  }
  ~Handle() { lathe_free(plan); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  void allocate(const NativePlan& as, uint64_t seed) {
    inputs = test::seeded_inputs(as, seed);
    outputs.clear();
    in.clear();
    out.clear();
    in_bytes.clear();
    out_bytes.clear();
    for (const auto& bytes : inputs) {
      in.push_back(bytes.data());
      in_bytes.push_back(bytes.size());
    }
    for (size_t i = 0; i < lathe_output_count(plan); ++i) {
      lathe_tensor_info info;
      REQUIRE(lathe_output(plan, i, &info) == LATHE_OK);
      outputs.emplace_back(info.bytes);
    }
    for (auto& bytes : outputs) {
      out.push_back(bytes.data());
      out_bytes.push_back(bytes.size());
    }
  }
  lathe_status run() {
    return lathe_run(plan, in.data(), in_bytes.data(), in.size(), out.data(), out_bytes.data(),
                     out.size());
  }

  lathe_status status = LATHE_INTERNAL;
};

std::string small_file() { return write_plan_file(test::every_step_file()); }

}  // namespace

TEST_CASE("a loaded plan describes itself and runs") {
  Handle handle(small_file());
  REQUIRE(handle.status == LATHE_OK);
  CHECK(std::string(lathe_load_error()).empty());
  CHECK(lathe_input_count(handle.plan) == 1);
  REQUIRE(lathe_output_count(handle.plan) == 5);
  lathe_tensor_info info;
  REQUIRE(lathe_input(handle.plan, 0, &info) == LATHE_OK);
  CHECK(info.name == std::string("v0"));
  CHECK(info.dtype == LATHE_FLOAT32);
  CHECK(std::vector<int64_t>(info.dims, info.dims + info.rank) == Shape{1, 6, 6, 6});
  CHECK(info.bytes == 6 * 6 * 6 * 4);
  REQUIRE(lathe_output(handle.plan, 1, &info) == LATHE_OK);
  CHECK(info.dtype == LATHE_UINT8);
  CHECK(lathe_metadata(handle.plan, "profile") == std::string("x86-64-vnni"));
  CHECK(lathe_metadata(handle.plan, "nothing") == std::string());
  CHECK(std::string(lathe_version()).size() >= 5);
  const NativePlan plan = test::every_step_plan(1);
  handle.allocate(plan, 3);
  REQUIRE(handle.run() == LATHE_OK);
  CHECK(handle.outputs == test::run(plan, handle.inputs, {}));
}

TEST_CASE("batches change shapes, and the last ones stay ready") {
  Handle handle(small_file());
  REQUIRE(handle.status == LATHE_OK);
  CHECK(lathe_has_free_batch(handle.plan) == 1);
  CHECK(lathe_batch(handle.plan) == 1);
  for (const int64_t batch : {3, 1, 2, 4, 5, 6, 7, 8, 9, 10, 3}) {
    REQUIRE(lathe_set_batch(handle.plan, batch) == LATHE_OK);
    CHECK(lathe_batch(handle.plan) == batch);
    lathe_tensor_info info;
    REQUIRE(lathe_input(handle.plan, 0, &info) == LATHE_OK);
    CHECK(info.dims[0] == batch);
    const NativePlan plan = test::every_step_plan(batch);
    handle.allocate(plan, 5);
    REQUIRE(handle.run() == LATHE_OK);
    CHECK(handle.outputs == test::run(plan, handle.inputs, {}));
  }
  CHECK(lathe_set_batch(handle.plan, 0) == LATHE_BAD_INPUT);
  CHECK(std::string(lathe_error(handle.plan)).find("batch") != std::string::npos);
  CHECK(lathe_set_batch(handle.plan, INT64_MAX) == LATHE_LIMIT);
  CHECK(lathe_batch(handle.plan) == 3);
  REQUIRE(handle.run() == LATHE_OK);
  CHECK(std::string(lathe_error(handle.plan)).empty());
}

TEST_CASE("a fixed batch stays") {
  PlanFile file = test::every_step_file();
  file.batch_two.clear();
  Handle handle(write_plan_file(file));
  REQUIRE(handle.status == LATHE_OK);
  CHECK(lathe_has_free_batch(handle.plan) == 0);
  CHECK(lathe_set_batch(handle.plan, 1) == LATHE_OK);
  CHECK(lathe_set_batch(handle.plan, 2) == LATHE_BAD_INPUT);
}

TEST_CASE("an index out of range is refused, and the plan still runs") {
  test::SmallPlan s;
  const ViewId ids = s.input(DType::kInt64, {2});
  s.step(GatherStep{s.factors({4, 3}), ids, s.output(DType::kFloat32, {2, 3}), 0});
  place_blocks(s.plan);
  PlanFile file;
  file.plan = std::move(s.plan);
  describe_ports(file);
  Handle handle(write_plan_file(file));
  REQUIRE(handle.status == LATHE_OK);
  handle.allocate(file.plan, 1);
  const auto run_with = [&](int64_t index) {
    const int64_t both[] = {-4, index};
    std::memcpy(handle.inputs[0].data(), both, sizeof both);
    return handle.run();
  };
  CHECK(run_with(4) == LATHE_BAD_INPUT);
  CHECK(std::string(lathe_error(handle.plan)).find("index 4 of a Gather is out of range") !=
        std::string::npos);
  CHECK(run_with(-5) == LATHE_BAD_INPUT);
  REQUIRE(run_with(3) == LATHE_OK);
  CHECK(handle.outputs == test::run(file.plan, handle.inputs, {}));
}

TEST_CASE("arrays of another number, size or place are refused") {
  Handle handle(small_file());
  REQUIRE(handle.status == LATHE_OK);
  handle.allocate(test::every_step_plan(1), 3);
  const auto refused = [&](lathe_status status, const char* text) {
    CHECK(handle.run() == status);
    CHECK(std::string(lathe_error(handle.plan)).find(text) != std::string::npos);
    handle.allocate(test::every_step_plan(1), 3);
  };
  handle.in_bytes[0] -= 1;
  refused(LATHE_BAD_INPUT, "863 bytes are given, 1x6x6x6 float are 864 bytes");
  handle.out_bytes[1] += 4;
  refused(LATHE_BAD_INPUT, "output 1 (v");
  handle.in[0] = nullptr;
  refused(LATHE_USAGE, "null");
  handle.out[0] = static_cast<std::byte*>(handle.out[0]) + 1;
  refused(LATHE_BAD_INPUT, "aligned");
  handle.out.pop_back();
  refused(LATHE_BAD_INPUT, "4 outputs are given, the plan has 5");
  CHECK(handle.run() == LATHE_OK);
  lathe_tensor_info info;
  CHECK(lathe_input(handle.plan, 1, &info) == LATHE_USAGE);
  CHECK(lathe_output(handle.plan, 0, nullptr) == LATHE_USAGE);
}

TEST_CASE("loading says what is wrong") {
  const std::string file = small_file();
  const auto refused = [](const Handle& handle, lathe_status status, const char* text) {
    CHECK(handle.status == status);
    CHECK(handle.plan == nullptr);
    CAPTURE(lathe_load_error());
    CHECK(std::string(lathe_load_error()).find(text) != std::string::npos);
  };
  refused(Handle(file.substr(0, 1000)), LATHE_BAD_INPUT, "of which 1000 are there");
  refused(Handle(write_plan_file(test::fallback_file())), LATHE_ENVIRONMENT, "only lathe itself");
  refused(Handle(write_plan_file(test::fallback_file())), LATHE_ENVIRONMENT, "node0, node1");
  lathe_options options{0, 4096};
  refused(Handle(file, &options), LATHE_LIMIT, "4096 are allowed");
  options = {-1, 0};
  refused(Handle(file, &options), LATHE_USAGE, "threads");
  std::string newer = file;
  newer[8] = 9;
  refused(Handle(newer), LATHE_ENVIRONMENT, "format 9");
  lathe_plan* plan = nullptr;
  CHECK(lathe_load_file("/nonexistent/plan.lathe", nullptr, &plan) == LATHE_BAD_INPUT);
  CHECK(lathe_load_file("/dev/null", nullptr, &plan) == LATHE_BAD_INPUT);
  CHECK(lathe_load_file(nullptr, nullptr, &plan) == LATHE_USAGE);
  CHECK(lathe_load_memory(nullptr, 0, nullptr, &plan) == LATHE_USAGE);
  CHECK(lathe_load_memory(file.data(), file.size(), nullptr, nullptr) == LATHE_USAGE);
}

TEST_CASE("more threads than CPUs are a warning") {
  const lathe_options options{64, 0};
  Handle handle(small_file(), &options);
  REQUIRE(handle.status == LATHE_OK);
  CHECK(lathe_threads(handle.plan) == 64);
  // A machine with as many CPUs has nothing to warn of.
  const std::string warning = lathe_warning(handle.plan);
  CHECK((warning.empty() || warning.starts_with("64 threads for ")));
  const lathe_options one{1, 0};
  Handle single(small_file(), &one);
  CHECK(std::string(lathe_warning(single.plan)).empty());
  const NativePlan plan = test::every_step_plan(1);
  handle.allocate(plan, 3);
  REQUIRE(handle.run() == LATHE_OK);
  CHECK(handle.outputs == test::run(plan, handle.inputs, {}));
}

TEST_CASE("null handles do no harm") {
  lathe_free(nullptr);
  lathe_tensor_info info;
  CHECK(lathe_input(nullptr, 0, &info) == LATHE_USAGE);
  CHECK(lathe_set_batch(nullptr, 1) == LATHE_USAGE);
  CHECK(lathe_run(nullptr, nullptr, nullptr, 0, nullptr, nullptr, 0) == LATHE_USAGE);
  CHECK(lathe_input_count(nullptr) == 0);
  CHECK(lathe_error(nullptr) == std::string("a null handle"));
}

TEST_CASE("choices of another machine are left out with a warning") {
  PlanFile file = test::every_step_file();
  file.metadata.fingerprint = host_facts().fingerprint;
  file.metadata.tuned_threads = 1;
  file.plan.steps[1].choice = {"product:", 1};
  const lathe_options one{1, 0};
  {
    const Handle here(write_plan_file(file), &one);
    REQUIRE(here.status == LATHE_OK);
    CHECK(std::string(lathe_warning(here.plan)).empty());
  }
  file.metadata.fingerprint = "elsewhere";
  const Handle there(write_plan_file(file), &one);
  REQUIRE(there.status == LATHE_OK);
  CHECK(std::string(lathe_warning(there.plan)).find("another machine") != std::string::npos);
  file.plan.steps[1].choice.threads = -1;
  const Handle hostile(write_plan_file(file), &one);
  CHECK(hostile.status == LATHE_BAD_INPUT);
}

}  // namespace lathe
