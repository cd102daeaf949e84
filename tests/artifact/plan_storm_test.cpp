// Broken plans whose checksums are right: they are refused, or they run inside their memory. Worth
// most under the address sanitizer.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>

#include "artifact/plan_archive.h"
#include "artifact/plan_fields.h"
#include "artifact/sections.h"
#include "ir/error.h"
#include "plan/divide_plan.h"
#include "run_plan.h"
#include "small_plan.h"

namespace lathe {
namespace {

/// Puts a strange number into one scalar or number of the batch.
class BrokenField : public PlanArchive<BrokenField> {
 public:
  BrokenField(size_t index, SeededRandom& random) : left_(index), random_(random) {}

  void number(int64_t& value) { scalar(value); }
  template <class T>
  void scalar(T& value) {
    ++visited;
    if (left_-- != 0) return;
    if constexpr (std::is_same_v<T, bool>) {
      value = !value;
    } else if constexpr (std::is_floating_point_v<T>) {
      constexpr float kStrange[] = {0, -1, 1e30F, 1e-40F, __builtin_nanf(""), __builtin_inff()};
      value = kStrange[random_.next() % 6];
    } else {
      value = static_cast<T>(strange(static_cast<int64_t>(value)));
    }
  }
  void text(std::string&) {}
  void list(auto& values, auto&& each) {
    ++visited;
    if (left_-- == 0 && !values.empty()) {
      const uint64_t choice = random_.next() % 3;
      if (choice == 0) values.pop_back();
      if (choice == 1) values.push_back(values[random_.next() % values.size()]);
      if (choice == 2) std::swap(values.front(), values[random_.next() % values.size()]);
    }
    for (auto& value : values) each(value);
  }
  void alternative(auto&) {}

  size_t visited = 0;

 private:
  int64_t strange(int64_t value) {
    switch (random_.next() % 8) {
      case 0: return value + 1;
      case 1: return value - 1;
      case 2: return value * 2;
      case 3: return value + static_cast<int64_t>(random_.next() % 129) - 64;
      case 4: return static_cast<int64_t>(random_.next() % 64);
      case 5: return -value;
      case 6: return value ^ int64_t { 1 } << random_.next() % 64;
      default: {
        constexpr int64_t kStrange[] = {0,         -1,      INT32_MAX, INT32_MIN, INT64_MAX,
                                        INT64_MIN, 1 << 20, 1 << 30,   255,       65536};
        return kStrange[random_.next() % std::size(kStrange)];
      }
    }
  }

  size_t left_;
  SeededRandom& random_;
};

size_t count_fields(NativePlan plan) {
  SeededRandom unused(0, 0);
  BrokenField counter(SIZE_MAX, unused);
  counter(plan);
  return counter.visited;
}

/// One or two.
void break_fields(NativePlan& plan, size_t fields_of_plan, SeededRandom& random) {
  for (uint64_t times = 1 + random.next() % 2; times > 0; --times) {
    BrokenField change(random.next() % fields_of_plan, random);
    change(plan);
  }
}

/// A plan may ask for more than a test has.
bool is_small(const NativePlan& plan) {
  constexpr int64_t kMost = int64_t{1} << 24;
  int64_t bytes = plan.arena_bytes;
  for (const PlanBlock& block : plan.blocks) bytes = std::max(bytes, block.bytes);
  return bytes <= kMost;
}

int storm_size() { return std::getenv("LATHE_SLOW") != nullptr ? 30000 : 1500; }

/// 1 when the plan passed and ran, 0 when it was refused.
int run_if_valid(NativePlan plan, SeededRandom& random) {
  try {
    verify_plan(plan);
  } catch (const Error&) {
    return 0;
  }
  if (!is_small(plan)) return 0;
  // Names that are there on some machine, and one that is nowhere.
  for (PlanStep& step : plan.steps) {
    constexpr const char* kNames[] = {"",
                                      "product:",
                                      "gemm:jit",
                                      "jit_int8:avx512_core_vnni",
                                      "brgconv:avx512_core_vnni",
                                      "x8s8s32x_convolution:gemm",
                                      "gemm_s8u8s32:jit",
                                      "\x1b[2J"};
    step.choice.implementation = kNames[random.next() % std::size(kNames)];
  }
  ProgramOptions options;
  options.threads = 1 + static_cast<int>(random.next() % 2);
  options.isa =
      static_cast<KernelIsa>(random.next() % (static_cast<uint64_t>(best_kernel_isa()) + 1));
  try {
    test::run_apart(plan, test::seeded_inputs(plan, 1), options);
  } catch (const Error& error) {
    // oneDNN may not know a layout, and a table may have lost the rows that are asked for.
    CHECK((error.code() == ExitCode::kEnvironment || error.id() == "native.index"));
  }
  return 1;
}

}  // namespace

TEST_CASE("plans with one or more broken fields are refused or stay inside their memory") {
  constexpr uint64_t kSeed = 20260727;
  MESSAGE("seed ", kSeed);
  SeededRandom random(kSeed, 1);
  const size_t fields_of_plan = count_fields(test::every_step_plan(2));
  REQUIRE(fields_of_plan > 1000);
  int passed = 0;
  for (int i = 0; i < storm_size(); ++i) {
    CAPTURE(i);
    NativePlan plan = test::every_step_plan(2);
    break_fields(plan, fields_of_plan, random);
    passed += run_if_valid(plan, random);
  }
  // Some changes are harmless (a scale, an offset); most are not.
  MESSAGE(passed, " of ", storm_size(), " ran");
  CHECK(passed > 0);
  CHECK(passed < storm_size());
}

TEST_CASE("parts of plans with broken fields stay inside their memory") {
  constexpr uint64_t kSeed = 20261122;
  MESSAGE("seed ", kSeed);
  SeededRandom random(kSeed, 1);
  const size_t fields_of_plan = count_fields(test::images_plan(4));
  int divided = 0;
  for (int i = 0; i < storm_size(); ++i) {
    CAPTURE(i);
    NativePlan plan = test::images_plan(4);
    break_fields(plan, fields_of_plan, random);
    try {
      verify_plan(plan);
    } catch (const Error&) {
      continue;
    }
    // Once more by run_if_valid: what was valid is so in parts, too.
    const std::optional<NativePlan> part = divide_plan(plan, 2);
    if (!part || !is_small(plan)) continue;
    ++divided;
    CHECK(run_if_valid(*part, random) == 1);
  }
  MESSAGE(divided, " of ", storm_size(), " were divided");
  CHECK(divided > storm_size() / 20);
}

TEST_CASE("files with broken bytes and right checksums are refused or stay inside their memory") {
  constexpr uint64_t kSeed = 20260728;
  MESSAGE("seed ", kSeed);
  SeededRandom random(kSeed, 1);
  const std::string whole = write_plan_file(test::every_step_file());
  const auto sections = split_sections(test::bytes_of(whole));
  int passed = 0;
  for (int i = 0; i < storm_size(); ++i) {
    CAPTURE(i);
    std::vector<std::string> contents;
    std::vector<SectionKind> kinds;
    for (const auto& [kind, bytes] : sections) {
      kinds.push_back(kind);
      contents.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    for (uint64_t times = 1 + random.next() % 3; times > 0; --times) {
      std::string& bytes = contents[random.next() % contents.size()];
      const size_t at = random.next() % bytes.size();
      switch (random.next() % 4) {
        case 0: bytes[at] = static_cast<char>(bytes[at] ^ 1 << random.next() % 8); break;
        case 1: bytes[at] = static_cast<char>(random.next()); break;
        case 2: bytes.erase(at, 1 + random.next() % 8); break;
        default:
          bytes.insert(at, std::string(1 + random.next() % 8, static_cast<char>(random.next())));
      }
      if (bytes.empty()) bytes.push_back('\0');
    }
    std::vector<Section> joined;
    for (size_t k = 0; k < kinds.size(); ++k) joined.push_back({kinds[k], contents[k]});
    const std::string broken = join_sections(joined);
    PlanFile file;
    try {
      file = read_plan_file(test::bytes_of(broken));
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::kBadInput);
      continue;
    }
    passed += run_if_valid(file.plan, random);
    const auto batch = static_cast<int64_t>(random.next() % 5);
    try {
      run_if_valid(plan_for_batch(file, batch), random);
    } catch (const Error& error) {
      CHECK((error.code() == ExitCode::kBadInput || error.code() == ExitCode::kLimit));
    }
  }
  MESSAGE(passed, " of ", storm_size(), " ran");
  CHECK(passed > 0);
  CHECK(passed < storm_size());
}

TEST_CASE("numbers of batch 2 that are broken never leave their memory") {
  constexpr uint64_t kSeed = 20260729;
  MESSAGE("seed ", kSeed);
  SeededRandom random(kSeed, 1);
  int passed = 0;
  for (int i = 0; i < storm_size(); ++i) {
    CAPTURE(i);
    PlanFile file = test::every_step_file();
    int64_t& number = file.batch_two[random.next() % file.batch_two.size()];
    number = random.next() % 2 == 0 ? number + static_cast<int64_t>(random.next() % 9) - 4
                                    : number ^ int64_t { 1 } << random.next() % 64;
    try {
      passed +=
          run_if_valid(plan_for_batch(file, 2 + static_cast<int64_t>(random.next() % 3)), random);
    } catch (const Error& error) {
      CHECK((error.code() == ExitCode::kBadInput || error.code() == ExitCode::kLimit));
    }
  }
  MESSAGE(passed, " of ", storm_size(), " ran");
  CHECK(passed > 0);
  CHECK(passed < storm_size());
}

}  // namespace lathe
