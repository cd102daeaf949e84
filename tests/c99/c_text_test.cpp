#include "c99/c_text.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <limits>

#include "c99/c_nest.h"
#include "ir/error.h"

namespace lathe {
namespace {

TEST_CASE("names become identifiers that neither C nor C++ keeps for itself") {
  CHECK(c_identifier("conv1/weight:0") == "conv1_weight_0");
  CHECK(c_identifier("int") == "v_int");
  CHECK(c_identifier("class") == "v_class");
  CHECK(c_variable("EOF") == "v_EOF");
  CHECK(c_variable("errno") == "v_errno");
  CHECK(c_variable("x") == "x");
  CHECK(c_identifier("0") == "v_0");
  CHECK(c_identifier("") == "v_");
  CHECK(c_identifier("\xc3\xa4*/") == "v_____");
}

TEST_CASE("comments hold what cannot end them") {
  CHECK(c_comment("a */ b") == "a *_ b");
  CHECK(c_comment("/* a") == "/_ a");
  CHECK(c_comment("line\nend\\") == "line_end_");
  CHECK(c_comment("\xff") == "_");
}

TEST_CASE("floats read back as they were") {
  for (const float value : {0.1F, 1.0F, -3.0e-39F, 16777216.0F, 1.0e-10F}) {
    const std::string text = c_float(value);
    CHECK(text.ends_with("f"));
    CHECK(text.find_first_of(".e") != std::string::npos);
    CHECK(std::strtof(text.c_str(), nullptr) == value);
  }
  CHECK(std::strtof(c_float(std::numeric_limits<float>::infinity()).c_str(), nullptr) ==
        std::numeric_limits<float>::max());
  CHECK_THROWS_AS(c_float(std::numeric_limits<float>::quiet_NaN()), Error);
}

TEST_CASE("arrays fit their lines") {
  const std::vector<int32_t> few{1, -2, INT32_MIN};
  CHECK(c_array("int32_t", "few", few) ==
        "static const int32_t few[3] = {1, -2, (-2147483647 - 1)};\n");
  const std::vector<int8_t> many(100, -128);
  const std::string text = c_array("int8_t", "many", many);
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    CHECK(end - begin <= 100);
    begin = end + 1;
  }
}

TEST_CASE("loops join what lies one behind the other") {
  const auto body = [](const std::vector<std::string>& at) {
    return "to[" + at[0] + "] = from[" + at[1] + "];\n";
  };
  CHECK(c_nest({2, 3, 4}, {{12, 4, 1}, {12, 4, 1}}, body) ==
        "  {\n    int32_t i0;\n    for (i0 = 0; i0 < 24; ++i0)\n      to[i0] = from[i0];\n  }\n");
  CHECK(c_nest({2, 3}, {{3, 1}, {1, 2}}, body) ==
        "  {\n    int32_t i0;\n    int32_t i1;\n    for (i0 = 0; i0 < 2; ++i0)\n"
        "      for (i1 = 0; i1 < 3; ++i1)\n        to[i0 * 3 + i1] = from[i0 + i1 * 2];\n  }\n");
  CHECK(c_nest({1}, {{1}, {1}}, body) == "  {\n    to[0] = from[0];\n  }\n");
}

}  // namespace
}  // namespace lathe
