// Weights packed once: shared by programs, brought by files.
#include <doctest/doctest.h>

#include <filesystem>

#include "api/lathe.h"
#include "api/loaded_plan.h"
#include "artifact/packed_section.h"
#include "artifact/sections.h"
#include "ir/error.h"
#include "os/host.h"
#include "run_plan.h"
#include "scratch_directory.h"
#include "small_plan.h"

namespace lathe {
namespace {

ProgramOptions sharing(std::shared_ptr<PackedWeights> packed) {
  ProgramOptions options;
  options.packed = std::move(packed);
  return options;
}

/// The small plan with weights as this machine packs them.
PlanFile packed_file(PlanFile file = test::every_step_file()) {
  const auto packed = std::make_shared<PackedWeights>();
  const Program program(file.plan, sharing(packed));
  file.packing_key = packing_key({});
  file.packed = packed->arrays();
  return file;
}

/// Bytes that programs of the file's plan pack by themselves.
size_t packed_by_loading(const PlanFile& file) {
  const SharedPlan shared(read_plan_file(test::bytes_of(write_plan_file(file))));
  const NativePlan& plan = shared.file.plan;
  const test::Outputs inputs = test::seeded_inputs(plan, 3);
  CHECK(test::run(plan, inputs, sharing(shared.packed)) == test::run(plan, inputs, {}));
  return shared.packed->packed_here();
}

/// Bytes of weights that the one file has and the other has not.
size_t missing(const PlanFile& in, const PlanFile& of) {
  size_t bytes = 0;
  for (const auto& [key, array] : of.packed)
    if (!in.packed.contains(key)) bytes += array.bytes.size();
  return bytes;
}

}  // namespace

TEST_CASE("weights are packed once for all batches, and results stay") {
  const auto packed = std::make_shared<PackedWeights>();
  const PlanFile file = test::every_step_file();
  size_t bytes = 0;
  for (const int64_t batch : {1, 3, 2}) {
    CAPTURE(batch);
    const NativePlan plan = plan_for_batch(file, batch);
    const test::Outputs inputs = test::seeded_inputs(plan, 5);
    CHECK(test::run(plan, inputs, sharing(packed)) == test::run(plan, inputs, {}));
    if (batch == 1) bytes = packed->packed_here();
  }
  CHECK(bytes > 0);
  // oneDNN may want another order for another batch; lathe's own kernels do not.
  size_t products = 0;
  for (const auto& [key, array] : packed->arrays())
    if (key.layout.starts_with("product")) ++products;
  CHECK(products == 4);
}

TEST_CASE("a file brings packed weights, which are used where they are") {
  const PlanFile file = packed_file();
  const std::string bytes = write_plan_file(file);
  CHECK(write_plan_file(packed_file()) == bytes);
  const PlanFile again = read_plan_file(test::bytes_of(bytes));
  CHECK(again.packing_key == file.packing_key);
  CHECK(write_plan_file(again) == bytes);
  for (const auto& [key, array] : again.packed)
    CHECK(reinterpret_cast<uintptr_t>(array.bytes.data()) % PackedWeights::kAlignment == 0);
  CHECK(packed_by_loading(file) == 0);
  CHECK(packed_by_loading(test::every_step_file()) > 0);
}

TEST_CASE("packed weights of another machine or release are packed again") {
  PlanFile file = packed_file();
  file.packing_key += " of another machine";
  CHECK(packed_by_loading(file) > 0);
}

TEST_CASE("packed weights of another size are packed again, and nothing is read behind them") {
  PlanFile file = packed_file();
  size_t spoiled = 0;
  for (auto& [key, array] : file.packed) {
    spoiled += array.bytes.size();
    array.bytes = array.bytes.first(array.bytes.size() / 2);
  }
  CHECK(packed_by_loading(file) == spoiled);
}

TEST_CASE("implementations do not take weights that another wants in another order") {
  const NativePlan plan = test::every_step_plan(1);
  const test::Outputs inputs = test::seeded_inputs(plan, 7);
  const Program plain(plan, ProgramOptions{});
  const auto packed = std::make_shared<PackedWeights>();
  int chosen = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    for (const std::string& name : plain.implementations(i)) {
      CAPTURE(i);
      CAPTURE(name);
      NativePlan other = plan;
      other.steps[i].choice.implementation = name;
      CHECK(test::run(other, inputs, sharing(packed)) == test::run(other, inputs, {}));
      ++chosen;
    }
  }
  CHECK(chosen > 3);
}

TEST_CASE("a tuned file brings the weights of its choices") {
  PlanFile file = test::every_step_file();
  file.metadata.fingerprint = host_facts().fingerprint;
  {
    const Program plain(file.plan, ProgramOptions{});
    for (size_t i = 0; i < file.plan.steps.size(); ++i)
      if (const auto names = plain.implementations(i); !names.empty())
        file.plan.steps[i].choice.implementation = names.back();
  }
  file = packed_file(std::move(file));
  CHECK(packed_by_loading(file) == 0);
  // Choices of another machine are not obeyed; weights in other orders than theirs are packed.
  file.metadata.fingerprint = "elsewhere";
  const SharedPlan elsewhere(read_plan_file(test::bytes_of(write_plan_file(file))));
  for (const PlanStep& step : elsewhere.file.plan.steps) CHECK(step.choice == StepChoice{});
  CHECK(packed_by_loading(file) == missing(file, packed_file()));
}

TEST_CASE("files without the section are as they were") {
  PlanFile file = packed_file();
  const std::string with = write_plan_file(file);
  file.packed.clear();
  CHECK(write_plan_file(file) == write_plan_file(test::every_step_file()));
  CHECK(with.size() > write_plan_file(file).size());
}

TEST_CASE("damage in the packed section is found") {
  std::string bytes = write_plan_file(packed_file());
  const auto sections = split_sections(test::bytes_of(bytes));
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
  for (const SectionKind kind : {SectionKind::kPackedTable, SectionKind::kPacked}) {
    const size_t first = static_cast<size_t>(sections.at(kind).data() - begin);
    for (size_t at = first; at < first + sections.at(kind).size(); at += 61) {
      bytes[at] = static_cast<char>(bytes[at] ^ 4);
      REQUIRE(test::refusal(bytes).first == 3);
      bytes[at] = static_cast<char>(bytes[at] ^ 4);
    }
  }
  CHECK(test::refusal(bytes).first == 0);
}

TEST_CASE("a table that names bytes outside of the section is refused") {
  const auto changed = [](auto&& change) {
    const std::string whole = write_plan_file(packed_file());
    std::vector<std::string> contents;
    std::vector<Section> joined;
    const auto sections = split_sections(test::bytes_of(whole));
    contents.reserve(sections.size());
    for (const auto& [kind, bytes] : sections) {
      contents.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      change(kind, contents.back());
      if (!contents.back().empty()) joined.push_back({kind, contents.back()});
    }
    return test::refusal(join_sections(joined)).first;
  };
  CHECK(changed([](SectionKind, std::string&) {}) == 0);
  CHECK(changed([](SectionKind kind, std::string& bytes) {
          if (kind == SectionKind::kPacked) bytes.pop_back();
        }) == 3);
  CHECK(changed([](SectionKind kind, std::string& bytes) {
          if (kind == SectionKind::kPacked) bytes.clear();
        }) == 3);
  CHECK(changed([](SectionKind kind, std::string& bytes) {
          if (kind == SectionKind::kPackedTable) bytes.pop_back();
        }) == 3);
  // The last entry's offset (not aligned, too large) and size.
  for (const size_t from_end : {16, 9, 1})
    CHECK(changed([&](SectionKind kind, std::string& bytes) {
            if (kind == SectionKind::kPackedTable) bytes[bytes.size() - from_end] = '\x7f';
          }) == 3);
}

TEST_CASE("a mapped file gives the same results, also when another file takes its place") {
  for (const PlanFile& file : {packed_file(), test::every_step_file()}) {
    const ScratchDirectory folder;
    const std::string saved = folder.write("plan", write_plan_file(file));
    const lathe_options one{1, 0};
    lathe_plan* plan = nullptr;
    REQUIRE(lathe_load_file(saved.c_str(), &one, &plan) == LATHE_OK);
    std::filesystem::rename(folder.write("other", "something else"), saved);
    for (const int64_t batch : {1, 2}) {
      REQUIRE(lathe_set_batch(plan, batch) == LATHE_OK);
      const NativePlan same = test::every_step_plan(batch);
      const test::Outputs inputs = test::seeded_inputs(same, 8);
      const test::Outputs expected = test::run(same, inputs, {});
      test::Outputs outputs = expected;
      for (auto& bytes : outputs) std::fill(bytes.begin(), bytes.end(), std::byte{0});
      const void* in[] = {inputs[0].data()};
      const size_t in_bytes[] = {inputs[0].size()};
      std::vector<void*> out;
      std::vector<size_t> out_bytes;
      for (auto& bytes : outputs) {
        out.push_back(bytes.data());
        out_bytes.push_back(bytes.size());
      }
      REQUIRE(lathe_run(plan, in, in_bytes, 1, out.data(), out_bytes.data(), out.size()) ==
              LATHE_OK);
      CHECK(outputs == expected);
    }
    lathe_free(plan);
  }
}

}  // namespace lathe
