#include "report/strict_json.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "report/nearest_name.h"

namespace lathe {
namespace {

using nlohmann::json;

// "code id where: message" of the error that `text` gives; "" when it is accepted.
std::string refusal(const std::string& text) {
  try {
    parse_json_strict(text, "f.json");
    return "";
  } catch (const Error& e) {
    return std::to_string(static_cast<int>(e.code())) + " " + e.id() + " " + e.text().where + ": " +
           e.text().message;
  }
}

std::string begin_of(const std::string& text, size_t n) { return text.substr(0, n); }

template <class F>
std::string message_of(F&& f) {
  try {
    f();
    return "no error";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST_CASE("parse_json_strict accepts what RFC 8259 allows") {
  const json a = parse_json_strict(R"({"a": [1, -2, 2.5e3, "\u00e9", true, null], "b": {}})", "f");
  CHECK(a["a"][0] == 1);
  CHECK(a["a"][2] == 2500.0);
  CHECK(a["a"][3] == "é");
  CHECK(a["b"].is_object());
  CHECK(parse_json_strict("9007199254740993", "f").get<int64_t>() == 9007199254740993);
  CHECK(parse_json_strict("-0", "f").get<double>() == 0);
  CHECK(parse_json_strict("\xef\xbb\xbf{}", "f").is_object());
  CHECK(parse_json_strict(" [[],[[1]],{\"x\":[{}]}] ", "f").dump() == R"([[],[[1]],{"x":[{}]}])");
}

TEST_CASE("parse_json_strict refuses with line and column") {
  CHECK(begin_of(refusal(""), 24) == "2 json.syntax f.json:1:1");
  CHECK(begin_of(refusal("{\"a\": 1,\n  }"), 25) == "2 json.syntax f.json:2:3:");
  CHECK(begin_of(refusal("{\n\"a\": 1 // x\n}"), 25) == "2 json.syntax f.json:2:8:");
  CHECK(begin_of(refusal("{} {}"), 25) == "2 json.syntax f.json:1:4:");
  CHECK(begin_of(refusal(std::string("123\0", 4)), 25) == "2 json.syntax f.json:1:4:");
  CHECK(begin_of(refusal(std::string("\xff\xfe{\0}\0", 6)), 13) == "2 json.syntax");
  CHECK(refusal("{\"a\":1,\n \"a\":2}") ==
        "2 json.duplicate_key f.json:2:4: the key \"a\" appears twice");
  CHECK(refusal("{\"x\":{\"b\":1,\"b\":1}}").find("json.duplicate_key") != std::string::npos);
  CHECK(refusal("[1, 123456789012345678901234567890]").find("beyond 64 bits") != std::string::npos);
  for (const char* text : {"NaN", "[Infinity]", "1e999", "[-1e999]", "'a'", "[1,]", "{a:1}", "01",
                           "\"\xff\"", "\"\x01\"", "\"\\ud800\"", "[", "{\"a\"", "tru", ".5", "+1"})
    CHECK_MESSAGE(begin_of(refusal(text), 13) == "2 json.syntax", text);
}

TEST_CASE("parse_json_strict gives no raw control character back") {
  const std::string message = refusal("{\"\\u001b[31m\":1,\"\\u001b[31m\":1}");
  CHECK(message.find('\x1b') == std::string::npos);
  CHECK(message.find("\\x1b[31m") != std::string::npos);
}

TEST_CASE("parse_json_strict limits depth and size") {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(refusal(nested(64)) == "");
  CHECK(begin_of(refusal(nested(65)), 22) == "8 json.depth f.json:1:");
  CHECK(begin_of(refusal(std::string(10'000'000, '[')), 12) == "8 json.depth");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK(begin_of(refusal(objects), 12) == "8 json.depth");
  CHECK(begin_of(refusal(std::string(kMaxJsonBytes + 1, ' ')), 11) == "8 json.size");
}

TEST_CASE("the exit code of a data spec is 3") {
  try {
    parse_json_strict("{", "spec.json", ExitCode::kBadInput);
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kBadInput);
  }
}

TEST_CASE("JsonReader reads typed values") {
  const json document = json::parse(
      R"({"name":"n","cores":4,"rate":2,"on":true,"list":["a","b"],"sizes":[1,2],
          "inner":{"x":0.5},"rows":[{"x":1},{"x":2}],"kind":"sdot"})");
  JsonReader r(document, "p.json");
  CHECK(r.string("name") == "n");
  CHECK(r.integer("cores", 1, 8) == 4);
  CHECK(r.number("rate", 0, 10) == 2.0);
  CHECK(r.boolean("on"));
  CHECK(r.strings("list") == std::vector<std::string>{"a", "b"});
  CHECK(r.integers("sizes", 0, 9) == std::vector<int64_t>{1, 2});
  JsonReader inner = r.object("inner");
  CHECK(inner.number("x", 0, 1) == 0.5);
  inner.finish();
  CHECK(r.objects("rows")[1].integer("x", 0, 5) == 2);
  CHECK(r.choice("kind", {"none", "sdot"}) == "sdot");
  CHECK(r.integer_or("absent", 0, 9, 7) == 7);
  CHECK(!r.string_if("gone"));
  CHECK(!r.object_if("gone"));
  r.finish();
}

TEST_CASE("JsonReader errors name file, pointer, range and nearest key") {
  const json document = json::parse(
      R"({"cores":0,"a/b":{"cor~e":"x"},"big":18446744073709551615,"kind":"sdto","rows":[{"x":-1}],
          "null":null,"half":1.5})");
  JsonReader r(document, "p.json");
  CHECK(message_of([&] { r.integer("cores", 1, 4096); }) ==
        "p.json: /cores: expected an integer from 1 to 4096, found 0");
  JsonReader inner = r.object("a/b");
  CHECK(message_of([&] { inner.integer("cor~e", 1, 2); }).find("p.json: /a~1b/cor~0e: expected") ==
        0);
  CHECK(message_of([&] { r.integer("big", 0, INT64_MAX); }).find("/big: expected an integer") !=
        std::string::npos);
  CHECK(message_of([&] { r.integer("half", 0, 5); }).find("found 1.5") != std::string::npos);
  CHECK(message_of([&] {
          r.choice("kind", {"none", "sdot"});
        }).find("did you mean \"sdot\"?") != std::string::npos);
  auto rows = r.objects("rows");
  CHECK(message_of([&] { rows[0].number("x", 0, 1); }) ==
        "p.json: /rows/0/x: expected a number from 0 to 1, found -1");
  CHECK(message_of([&] { r.string_or("null", "x"); }).find("found null") != std::string::npos);
  CHECK(message_of([&] { r.string("missing"); }) == "p.json: the key \"missing\" is missing");
  CHECK(message_of([&] { r.object("half"); }).find("p.json: /half: expected an object") == 0);
}

TEST_CASE("finish refuses unknown keys") {
  const json document = json::parse(R"({"cores":4,"core_":4})");
  JsonReader r(document, "p.json");
  r.integer("cores", 1, 8);
  CHECK(message_of([&] { r.finish(); }) ==
        "p.json: /core_: unknown key \"core_\" (did you mean cores?)");
  const json spec = json::parse(R"({"zzzz":1})");
  JsonReader s(spec, "d.json", "", ExitCode::kBadInput);
  s.string_or("format", "");
  try {
    s.finish();
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kBadInput);
    CHECK(e.text().hint == "one of: format");
  }
}

TEST_CASE("nearest_name") {
  const std::vector<std::string> names{"x86-64", "x86-64-vnni", "x86_64_low_power", "esp32"};
  CHECK(nearest_name("x86_64", names) == "x86-64");
  CHECK(nearest_name("ESP-32", names) == "esp32");
  CHECK(nearest_name("x86-64-vni", names) == "x86-64-vnni");
  CHECK(nearest_name("quartz", names).empty());
  CHECK(nearest_name("", names).empty());
  CHECK(nearest_name(std::string(1'000'000, 'x'), names).empty());
  CHECK(nearest_name("satic", {"static", "dynamic"}) == "static");
  CHECK(nearest_name("lateny-ms-xx", {"latency-ms-xx"}) == "latency-ms-xx");
  CHECK(edit_distance("ab", "ba") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("", "abc") == 3);
}

}  // namespace
}  // namespace lathe
