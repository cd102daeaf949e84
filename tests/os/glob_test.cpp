#include "os/glob.h"

#include <doctest/doctest.h>

#include <chrono>
#include <random>

#include "ir/error.h"

namespace lathe {
namespace {

// The definition, exponential but plain.
bool reference(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*')
    return reference(pattern.substr(1), text) ||
           (!text.empty() && reference(pattern, text.substr(1)));
  return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
         reference(pattern.substr(1), text.substr(1));
}

TEST_CASE("glob by example") {
  const auto match = [](const char* pattern, const char* text) {
    return Glob(pattern).matches(text);
  };
  CHECK(match("conv", "conv"));
  CHECK(!match("conv", "conv1"));
  CHECK(match("conv*", "conv"));
  CHECK(match("*conv*", "/layer1/conv2/Conv"));
  CHECK(match("*", ""));
  CHECK(match("**", ""));
  CHECK(!match("?", ""));
  CHECK(match("a?c", "abc"));
  CHECK(match("*a?c*", "xxabcx"));
  CHECK(!match("a*a", "a"));
  CHECK(match("a*a", "aa"));
  CHECK(match("features[0].*", "features[0].weight"));
  CHECK(match("a\\b{c}(d)+", "a\\b{c}(d)+"));
  CHECK(!match("CONV", "conv"));
  CHECK_THROWS_AS(Glob(""), Error);
  CHECK_THROWS_AS(Glob(std::string(kMaxGlobBytes + 1, 'a')), Error);
  CHECK_NOTHROW(Glob(std::string(kMaxGlobBytes, 'a')));
}

TEST_CASE("glob equals its definition on random pairs") {
  const unsigned seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  const auto word = [&](const char* letters, size_t count, size_t most) {
    std::string out;
    for (size_t n = random() % (most + 1); n > 0; --n) out += letters[random() % count];
    return out;
  };
  int matched = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string pattern = word("ab?*", 4, 7), text = word("ab", 2, 9);
    if (pattern.empty()) continue;
    const bool expected = reference(pattern, text);
    matched += expected;
    REQUIRE_MESSAGE(Glob(pattern).matches(text) == expected, pattern << " on " << text);
  }
  CHECK(matched > 1000);
}

TEST_CASE("long segments cross machine words") {
  for (const size_t n : {63, 64, 65, 127, 128, 129, 200}) {
    const std::string core = std::string(n - 1, 'a') + "b";
    CHECK(Glob("*" + core + "*").matches(std::string(500, 'a') + core + "zzz"));
    CHECK(!Glob("*" + core + "*").matches(std::string(500, 'a')));
    CHECK(Glob("*" + std::string(n, '?') + "*").matches(std::string(n, 'x')));
    CHECK(!Glob("*" + std::string(n, '?') + "*").matches(std::string(n - 1, 'x')));
  }
}

TEST_CASE("glob is linear on hostile names") {
  const std::string name(100'000, 'a');
  std::string question, stars;
  for (int i = 0; i < 2000; ++i) question += "?a", stars += "*a";
  const auto begin = std::chrono::steady_clock::now();
  CHECK(!Glob("*" + std::string(4000, 'a') + "b*").matches(name));
  CHECK(!Glob("*" + question + "b*").matches(name));
  CHECK(!Glob(stars + "*b").matches(name));
  CHECK(Glob(stars).matches(name));
  // A bound against the quadratic and exponential cases (minutes to years), not a measurement.
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
}

TEST_CASE("selectors") {
  const std::vector<Selector> selectors = parse_selectors({"op:Conv*", "head/*"});
  CHECK(matches_any(selectors, "x", "ConvTranspose"));
  CHECK(matches_any(selectors, "head/fc", "Gemm"));
  CHECK(!matches_any(selectors, "Conv_1", "Gemm"));
  CHECK(!matches_any({}, "Conv_1", "Conv"));
  CHECK_THROWS_AS(Selector("op:"), Error);
  CHECK_NOTHROW(require_matches(selectors, {{"a", "Conv"}, {"head/x", "Add"}}, "--exclude"));
  try {
    require_matches(selectors, {{"a", "Conv"}}, "--exclude");
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kUsage);
    CHECK(std::string(e.what()).find("--exclude: head/* matches no node") == 0);
  }
}

}  // namespace
}  // namespace lathe
