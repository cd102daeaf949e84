#include "gates/gate_cases.h"

#include <doctest/doctest.h>

#include "ir/error.h"

namespace lathe {
namespace {

GateCase sized(const std::string& id, double size, double median) {
  GateCase one;
  one.id = id;
  one.inputs.candidate["size"] = {size, std::nullopt, {}};
  one.inputs.candidate["median"] = {median, Interval{0.99 * median, 1.01 * median}, {}};
  return one;
}

TEST_CASE("a gate holds for every case, or for those that it names") {
  const std::vector<GateCase> cases{sized("m/batch1/threads1/interpreter", 100, 1e6),
                                    sized("m/batch8/threads1/interpreter", 100, 5e6)};
  const std::vector<Gate> gates{parse_gate("median < 2ms"), parse_gate("*/batch8/*: median < 6ms"),
                                parse_gate("size < 1KiB")};
  const std::vector<GateResult> results = evaluate_gates(gates, cases);
  REQUIRE(results.size() == 5);
  CHECK(results[0].gate.metric == "size");  // what needs no time comes first
  CHECK(results[1].gate.metric == "size");
  CHECK(results[2].verdict == GateVerdict::kPass);
  CHECK(results[3].verdict == GateVerdict::kFail);
  CHECK(results[3].case_id == cases[1].id);
  CHECK(results[4].verdict == GateVerdict::kPass);
  CHECK(gates_exit_code(results) == ExitCode::kGateMissed);
}

TEST_CASE("a missing case, a failed case and a missing metric are failures that say so") {
  std::vector<GateCase> cases{sized("a", 100, 1e6)};
  cases.push_back({"b", {}, "ended by signal 11"});
  const auto one = [&](const char* text) {
    const Gate gate = parse_gate(text);
    return evaluate_gates(std::span(&gate, 1), cases).front();
  };
  CHECK(one("c: median < 2ms").verdict == GateVerdict::kFail);
  CHECK(one("c: median < 2ms").reason.find("no case 'c'") == 0);
  CHECK(one("b: median < 2ms").reason.find("signal 11") != std::string::npos);
  CHECK(one("a: arena < 1MiB").reason == "arena was not measured");
}

TEST_CASE("gates files: comments, empty lines, and the line of a mistake") {
  const auto gates = parse_gates("# limits\n\n  p95 < 10ms  # slow\r\na/*: size <= 50%\n", "g.txt");
  REQUIRE(gates.size() == 2);
  CHECK(gates[0].text == "p95 < 10ms");
  CHECK(gates[1].cases == "a/*");
  CHECK(parse_gates("", "g.txt").empty());
  try {
    parse_gates("p95 < 10ms\np96 < 10ms", "g.txt");
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kUsage);
    CHECK(error.text().where == "g.txt:2");
    CHECK(error.text().message.find("^") != std::string::npos);
  }
}

TEST_CASE("the caret of a gate with a case stands under the metric") {
  try {
    parse_gate("a: p96 < 10ms");
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.text().message.find("\n  a: p96 < 10ms\n     ^") != std::string::npos);
  }
  CHECK_THROWS_AS(parse_gate(" : p95 < 10ms"), Error);
}

}  // namespace
}  // namespace lathe
