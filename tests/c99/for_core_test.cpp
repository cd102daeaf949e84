#include "c99/for_core.h"

#include <doctest/doctest.h>

#include "ir/error.h"

namespace lathe {
namespace {

constexpr const char* kSource =
    "#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2) && \\\n    !defined(TFLITE_ROUNDING)\n"
    "#define HAS_MVE 1\n"
    "#elif defined(__ARM_FEATURE_DSP) && defined(__GNUC__)\n#define HAS_DSP 1\n#endif\n"
    "#if defined(__GNUC__)\nkept\n#ifdef HAS_MVE\nvector\n#else\nscalar\n#endif\n#else\nother\n#endif\n"
    "#ifdef HAS_MVE\nvector\n#elif defined(HAS_DSP)\npairs\n#if X\ninner\n#endif\n#else\nplain\n#endif\n"
    "#if defined(HAS_DSP) || defined(HAS_MVE)\narm\n#endif\n";

std::string without_macros(const std::string& core, Rounding rounding = Rounding::kOrt) {
  return for_core(kSource, find_core(core), rounding);
}

TEST_CASE("source for one processor has no other's branches") {
  CHECK(without_macros("any") == kSource);
  const std::string kept = "#if defined(__GNUC__)\nkept\n";
  const std::string other = "#else\nother\n#endif\n";
  for (const char* core : {"generic", "m0", "rv32"})
    CHECK(without_macros(core) == kept + "scalar\n" + other + "plain\n");
  const std::string pairs = "#define HAS_DSP 1\n" + kept + "scalar\n" + other +
                            "pairs\n#if X\ninner\n#endif\narm\n";
  CHECK(without_macros("m4") == pairs);
  CHECK(without_macros("m55") == "#define HAS_MVE 1\n" + kept + "vector\n" + other + "vector\narm\n");
  CHECK(without_macros("m55", Rounding::kTflite) == pairs);
  CHECK_THROWS_AS(find_core("m85"), Error);
}

}  // namespace
}  // namespace lathe
