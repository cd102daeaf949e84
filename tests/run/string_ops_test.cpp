// String ops beyond what ONNX's own cases cover: letters outside of ASCII, numbers at the edges of
// their types, moved elements, limits.
#include "run/string_ops.h"

#include "run_text.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::contains;
using test::error_of;
using test::run_text;
using Strings = std::vector<std::string>;

Tensor strings(const Strings& values) {
  return Tensor::from_strings({static_cast<int64_t>(values.size())}, values);
}

Tensor run_one(const std::string& body, const std::vector<Tensor>& inputs) {
  return run_text(body, inputs).at(0);
}

Tensor cast_to(int dtype, const char* type, const Tensor& input, const char* from) {
  return run_one("g (" + std::string(from) + "[N] x) => (" + type +
                     "[N] y) { y = Cast<to = " + std::to_string(dtype) + ">(x) }",
                 {input});
}

std::string refused(int dtype, const char* type, const std::string& text) {
  return error_of([&] { cast_to(dtype, type, strings({text}), "string"); });
}

}  // namespace

TEST_CASE("letters of ASCII and Latin-1 change their case, others stay") {
  const std::string head = "g (string[N] x) => (string[M] y) { y = StringNormalizer<";
  const Tensor words =
      strings({"stra\xC3\x9F"
               "e \xC3\xA9\xC3\xB7\xC3\xBF",
               "\xD0\xB0@[`{z"});
  CHECK(run_one(head + "case_change_action = \"UPPER\">(x) }", {words}).strings() ==
        Strings{"STRA\xC3\x9F"
                "E \xC3\x89\xC3\xB7\xC3\xBF",
                "\xD0\xB0@[`{Z"});
  CHECK(run_one(head + "case_change_action = \"LOWER\">(x) }",
                {strings({"\xC3\x80\xC3\x97\xC3\x9E", "A\xE2\x80\x9E"})})
            .strings() == Strings{"\xC3\xA0\xC3\x97\xC3\xBE", "a\xE2\x80\x9E"});
  CHECK(run_one(head + "stopwords = [\"\xC3\x84"
                       "b\"]>(x) }",
                {strings({"\xC3\xA4"
                          "B",
                          "Cd"})})
            .strings() == Strings{"Cd"});
}

TEST_CASE("text becomes numbers") {
  const Tensor reals =
      cast_to(1, "float", strings({"+1e-5", "-Inf", "nAn", "1e400", "-1e-400"}), "string");
  const auto values = reals.values<float>();
  CHECK(values[0] == 1e-5f);
  CHECK(values[1] == -INFINITY);
  CHECK(std::isnan(values[2]));
  CHECK(values[3] == INFINITY);
  CHECK(values[4] == 0);
  CHECK(std::signbit(values[4]));
  CHECK(cast_to(7, "int64", strings({"9223372036854775807", "100.5", "-1E2", "+7"}), "string")
            .to_int64() == std::vector<int64_t>{INT64_MAX, 100, -100, 7});
  CHECK(cast_to(13, "uint64", strings({"18446744073709551615"}), "string").values<uint64_t>()[0] ==
        UINT64_MAX);
  CHECK(cast_to(9, "bool", strings({"0", "0.5"}), "string").to_int64() ==
        std::vector<int64_t>{0, 1});
}

TEST_CASE("text that is no number is refused") {
  for (const char* text : {"", "+", "+-1", "1x", " 1", "0x10", "one"}) {
    CAPTURE(text);
    CHECK(contains(refused(1, "float", text), "3 run.string_number"));
    CHECK(contains(refused(7, "int64", text), "3 run.string_number"));
  }
  for (const char* text : {"9223372036854775808", "NaN", "1e30"}) {
    CAPTURE(text);
    CHECK(contains(refused(7, "int64", text), "3 run.string_number"));
  }
  CHECK(contains(refused(13, "uint64", "-1"), "3 run.string_number"));
}

TEST_CASE("numbers become text that reads back") {
  CHECK(cast_to(8, "string", Tensor::vector<float>({0.1f, -0.0f, 1e-5f, INFINITY, -INFINITY, NAN}),
                "float")
            .strings() == Strings{"0.1", "-0", "1e-05", "INF", "-INF", "NaN"});
  CHECK(cast_to(8, "string", Tensor::vector<double>({0.1, 1.0 / 3}), "double").strings() ==
        Strings{"0.1", "0.3333333333333333"});
  CHECK(cast_to(8, "string", Tensor::vector<uint64_t>({UINT64_MAX}), "uint64").strings() ==
        Strings{"18446744073709551615"});
}

TEST_CASE("ops that move elements move strings") {
  const Tensor x = Tensor::from_strings({2, 2}, {"a", "b", "c", "d"});
  const Tensor moved = run_one(
      "g (string[2, 2] x) => (string[2, 3] y) <int64[1] one = {1}> "
      "{ t = Transpose<perm = [1, 0]>(x) c = Gather<axis = 1>(t, one) "
      "  y = Concat<axis = 1>(x, c) }",
      {x});
  CHECK(moved.shape() == Shape{2, 3});
  CHECK(moved.strings() == Strings{"a", "b", "c", "c", "d", "d"});
  CHECK(run_one("g (string[2, 2] x) => (int64[2] y) { y = Shape(x) }", {x}).to_int64() ==
        std::vector<int64_t>{2, 2});
}

TEST_CASE("strings where numbers are needed end in an error") {
  const std::string head = "g (string[N] x) => (string[N] y) ";
  for (const char* body :
       {"{ y = Add(x, x) }", "{ s = SequenceConstruct(x, x) y = ConcatFromSequence<axis = 0>(s) }",
        "{ s = SplitToSequence(x) y = ConcatFromSequence<axis = 0>(s) }",
        "{ n = Shape(x) y = Concat<axis = 0>(x, n) }"}) {
    CAPTURE(body);
    CHECK(contains(error_of([&] { run_text(head + body, {strings({"1", "2"})}); }), "3 "));
  }
}

TEST_CASE("the strings of one result are limited") {
  const std::string expand = "g (string[1] x, int64[2] s) => (string[A, B] y) { y = Expand(x, s) }";
  const std::string error = error_of([&] {
    run_text(expand, {strings({"a"}), Tensor::vector<int64_t>({1 << 20, 1 << 20})});
  });
  CHECK(contains(error, "8 limit.memory"));
}

}  // namespace lathe
