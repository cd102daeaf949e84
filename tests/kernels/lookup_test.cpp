#include <doctest/doctest.h>

#include "kernel_check.h"
#include "kernels/instructions.h"
#include "kernels/lookup.h"
#include "kernels/lookup_variants.h"

namespace lathe {
namespace {

std::vector<uint8_t> random_bytes(SeededRandom& random, int64_t count) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
  return bytes;
}

void check_variant(LookupRow look_up) {
  constexpr uint64_t kSeed = 31;
  INFO("seed " << kSeed);
  SeededRandom random(kSeed, 0);
  const std::vector<uint8_t> table = random_bytes(random, 256);
  for (int64_t width = 0; width < 300; ++width) {
    INFO("width " << width);
    const std::vector<uint8_t> from = random_bytes(random, width);
    Guarded<uint8_t> to(width);
    look_up(table.data(), from.data(), to.data(), width);
    std::vector<uint8_t> expected;
    for (const uint8_t byte : from) expected.push_back(table[byte]);
    CHECK(to.values() == expected);
    CHECK(to.intact());
  }
}

void check_variant(FloatLookup look_up) {
  constexpr uint64_t kSeed = 33;
  INFO("seed " << kSeed);
  SeededRandom random(kSeed, 0);
  // Any bits: NaN and denormal numbers are found as they are.
  std::vector<uint32_t> entries(256);
  for (uint32_t& entry : entries) entry = static_cast<uint32_t>(random.next());
  const auto table = make_float_table(reinterpret_cast<const float*>(entries.data()));
  for (int64_t width = 0; width < 300; ++width) {
    INFO("width " << width);
    const std::vector<uint8_t> from = random_bytes(random, width);
    Guarded<uint32_t> to(width);
    look_up(*table, from.data(), reinterpret_cast<float*>(to.data()), width);
    std::vector<uint32_t> expected;
    for (const uint8_t byte : from) expected.push_back(entries[byte]);
    CHECK(to.values() == expected);
    CHECK(to.intact());
  }
}

}  // namespace

TEST_CASE("every variant finds the bits of float32") {
  check_variant(float_lookup_scalar);
  if (instructions().vbmi) check_variant(float_lookup_permute);
}

TEST_CASE("every variant looks up rows of any width") {
  check_variant(lookup_row_scalar);
  if (instructions().avx512) check_variant(lookup_row_shuffle);
  if (instructions().vbmi) check_variant(lookup_row_permute);
  if (instructions().neon) check_variant(lookup_row_neon);
}

TEST_CASE("rows with and without gaps, in place as well") {
  constexpr uint64_t kSeed = 32;
  INFO("seed " << kSeed);
  SeededRandom random(kSeed, 0);
  const std::vector<uint8_t> table = random_bytes(random, 256);
  for (const int64_t width : {1, 3, 64, 100, 20000}) {
    for (const int64_t rows : {1, 2, 7, 1000}) {
      if (width * rows > 100000) continue;
      for (const int64_t gap : {0, 5}) {
        INFO("width " << width << " rows " << rows << " gap " << gap);
        const int64_t pitch = width + gap;
        const std::vector<uint8_t> from = random_bytes(random, pitch * rows);
        Guarded<uint8_t> to(pitch * rows);
        std::vector<uint8_t> expected = to.values();
        for (int64_t i = 0; i < pitch * rows; ++i)
          if (i % pitch < width)
            expected[static_cast<size_t>(i)] = table[from[static_cast<size_t>(i)]];
        const Lookup lookup{table.data(), from.data(), pitch, to.data(), pitch, rows, width};
        check_every_division(random, lookup_count(lookup), to,
                             [&](int64_t begin, int64_t end) { run_lookup(lookup, begin, end); });
        CHECK(to.values() == expected);
        std::vector<uint8_t> same = from;
        const Lookup in_place{table.data(), same.data(), pitch, same.data(), pitch, rows, width};
        run_lookup(in_place, 0, lookup_count(in_place));
        for (size_t i = 0; i < same.size(); ++i)
          if (static_cast<int64_t>(i) % pitch >= width) same[i] = expected[i];
        CHECK(same == expected);
      }
    }
  }
}

}  // namespace lathe
