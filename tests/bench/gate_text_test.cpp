#include "bench/gate_text.h"

#include <doctest/doctest.h>

#include <cmath>

namespace lathe {
namespace {

GateResult judged(const char* gate, GateVerdict verdict) {
  GateResult result;
  result.gate = parse_gate(gate);
  result.verdict = verdict;
  return result;
}

TEST_CASE("values are shown in the gate's unit") {
  CHECK(gate_value_text(parse_gate("p99 < 10ms"), 1.5e6) == "1.5 ms");
  CHECK(gate_value_text(parse_gate("p99 < 90%"), 0.875) == "87.5 %");
  CHECK(gate_value_text(parse_gate("size < 50%"), 2048) == "2.00 KiB");
  CHECK(gate_value_text(parse_gate("speedup > 1.5x"), 1.834) == "1.83x");
  CHECK(gate_value_text(parse_gate("throughput > 5/s"), 83.1) == "83.1/s");
  CHECK(gate_value_text(parse_gate("accuracy > 97%"), 0.985) == "98.5 %");
  CHECK(gate_value_text(parse_gate("accuracy > 30dB"), 31.24) == "31.2 dB");
  CHECK(gate_value_text(parse_gate("accuracy_drop < 1%"), -0.005) == "-0.5 %");
}

TEST_CASE("the verdict of all gates is the worst one's") {
  CHECK(gates_text({}).empty());
  std::vector<GateResult> results{judged("size < 1MB", GateVerdict::kPass)};
  CHECK(gates_text(results) == "PASS 1/1 gate");
  results.push_back(judged("p99 < 1ms", GateVerdict::kInconclusive));
  CHECK(gates_text(results) == "INCONCLUSIVE 1/2 gates undecided");
  results.push_back(judged("p99 < 1ms", GateVerdict::kFail));
  CHECK(gates_text(results) == "FAIL 1/3 gates missed");
}

TEST_CASE("speed is told in the direction that the verdict has") {
  Comparison comparison;
  CHECK(speed_text(comparison) == "speed not compared");
  comparison.ratio = 0.5;
  comparison.interval = Interval{0.4, 0.625};
  comparison.verdict = ComparisonVerdict::kImproved;
  CHECK(speed_text(comparison) == "2x faster (CI 1.6–2.5)");
  comparison.ratio = 1.2;
  comparison.interval = Interval{1.1, 1.3};
  comparison.verdict = ComparisonVerdict::kRegressed;
  CHECK(speed_text(comparison) == "1.2x slower (CI 1.1–1.3)");
}

TEST_CASE("changes carry their sign") {
  CHECK(change_text(100, 26) == "−74 %");
  CHECK(change_text(100, 103.2) == "+3.2 %");
  CHECK(change_text(100, 100) == "±0 %");
  CHECK(change_text(0, 5) == "-");
  CHECK(change_text(1, INFINITY) == "-");
}

TEST_CASE("an accuracy without noise satisfies a bound in decibels") {
  const Gate gate = parse_gate("accuracy > 30dB");
  CHECK(is_decibel_gate(gate));
  CHECK_FALSE(is_decibel_gate(parse_gate("accuracy > 90%")));
  GateInputs inputs;
  inputs.candidate["accuracy"].value = INFINITY;
  const GateResult result = evaluate_gate(gate, inputs);
  CHECK(result.verdict == GateVerdict::kPass);
  CHECK_FALSE(result.observed);
  inputs.candidate["accuracy"].value = -INFINITY;
  CHECK(evaluate_gate(gate, inputs).verdict == GateVerdict::kFail);
}

TEST_CASE("sizes and accuracies need no long timing") {
  const std::vector<Gate> sizes{parse_gate("size < 1MB"), parse_gate("accuracy > 90%")};
  CHECK_FALSE(gates_need_timing(sizes));
  const std::vector<Gate> times{parse_gate("size < 1MB"), parse_gate("speedup > 1x")};
  CHECK(gates_need_timing(times));
}

}  // namespace
}  // namespace lathe
