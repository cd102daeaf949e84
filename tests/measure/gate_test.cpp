#include "gates/gate.h"
#include "gates/gate_cases.h"

#include <doctest/doctest.h>

namespace lathe {
namespace {

std::string message_of(std::string_view text) {
  try {
    parse_gate(text);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::kUsage);
    CHECK(error.id() == "gate.syntax");
    return error.text().message;
  }
  return "accepted";
}

GateVerdict verdict_of(std::string_view text, const GateInputs& inputs) {
  return evaluate_gate(parse_gate(text), inputs).verdict;
}

TEST_CASE("gates are read with their units") {
  const Gate p99 = parse_gate("p99 < 10ms");
  CHECK(p99.metric == "p99");
  CHECK(p99.comparison == GateComparison::kLess);
  CHECK(p99.limit == 1e7);
  CHECK_FALSE(p99.relative);
  const Gate tight = parse_gate("  p99.9<=2.5s ");
  CHECK(tight.text == "p99.9<=2.5s");
  CHECK(tight.limit == 2.5e9);
  const Gate size = parse_gate("size<=50%");
  CHECK(size.relative);
  CHECK(size.limit == 0.5);
  CHECK(parse_gate("weights < 64MiB").limit == 64.0 * 1024 * 1024);
  CHECK(parse_gate("speedup >= 1.5x").limit == 1.5);
  CHECK(parse_gate("speedup >= 1.5").limit == 1.5);
  CHECK(parse_gate("throughput > 100/s").limit == 100);
  CHECK(parse_gate("accuracy >= 0.97").limit == 0.97);
  CHECK(parse_gate("accuracy > 30 dB").limit == 30);
  const Gate drop = parse_gate("accuracy_drop < 1%");
  CHECK(drop.limit == 0.01);
  CHECK_FALSE(drop.relative);
  CHECK(parse_gate("accuracy_drop <= -0.5%").limit == -0.005);
  CHECK(parse_gate("energy < 5mJ").limit == 5e-3);
  CHECK(parse_gate("energy < 2J").limit == 2);
  CHECK(parse_gate("temperature <= 80C").limit == 80);
  CHECK(parse_gate("temperature <= 80 \u00b0C").limit == 80);
  CHECK(parse_gate("cpu <= 25%").limit == 0.25);
  CHECK(parse_gate("load < 50ms").limit == 5e7);
  CHECK(parse_gate("instructions <= 5.2M").limit == 5.2e6);
  CHECK(parse_gate("instructions <= 5200k").limit == 5.2e6);
  CHECK(parse_gate("instructions <= 5200000").limit == 5.2e6);
  CHECK(parse_gate("instructions <= 102%").relative);
  CHECK(gate_metrics().size() == 27);
}

TEST_CASE("a caret shows where a gate is wrong") {
  CHECK(message_of("p99 10ms") == "expected <, <=, > or >=\n  p99 10ms\n      ^");
  CHECK(message_of("p98 < 10ms") == "there is no such metric\n  p98 < 10ms\n  ^");
  CHECK(message_of("p99 < 10") ==
        "expected a time (10ms) or a percentage (90%)\n  p99 < 10\n        ^");
  CHECK(message_of("p99 <") == "expected a time (10ms) or a percentage (90%)\n  p99 <\n       ^");
  // The caret stands under the escaped text.
  CHECK(message_of("\x1b < 1ms").find("\x1b") == std::string::npos);
}

TEST_CASE("what is no gate is refused") {
  for (const char* text : {"",
                           " ",
                           "<",
                           "< 10ms",
                           "p99",
                           "p99 <",
                           "p99 == 10ms",
                           "p99 < < 10ms",
                           "p99 < 10ms 5",
                           "p99 < 10MiB",
                           "size < 10ms",
                           "size < 50",
                           "accuracy > 50",
                           "accuracy_drop < 2",
                           "coverage > -1%",
                           "p99 < -1ms",
                           "size < -50%",
                           "throughput > 50%",
                           "throughput > 10ms",
                           "speedup > 2ms",
                           "speedup > x",
                           "accuracy > dB",
                           "p99 < nan",
                           "p99 < infms",
                           "P99 < 1ms",
                           "p99 < 1e999ms",
                           "energy < 5",
                           "energy < 5ms",
                           "temperature < 80",
                           "cpu < 25",
                           "coverage > 3dB"}) {
    CAPTURE(text);
    CHECK(message_of(text) != "accepted");
  }
  CHECK(message_of(std::string(100000, '<')) != "accepted");
}

TEST_CASE("counted metrics pass or fail by their value") {
  GateInputs inputs;
  inputs.candidate["size"].value = 250;
  inputs.candidate["accuracy_drop"].value = 0.01;
  CHECK(verdict_of("size < 251B", inputs) == GateVerdict::kPass);
  CHECK(verdict_of("size < 250B", inputs) == GateVerdict::kFail);
  CHECK(verdict_of("size <= 250B", inputs) == GateVerdict::kPass);
  CHECK(verdict_of("accuracy_drop <= 1%", inputs) == GateVerdict::kPass);
  CHECK(verdict_of("accuracy_drop < 1%", inputs) == GateVerdict::kFail);
  inputs.against.emplace()["size"].value = 1000;
  const GateResult result = evaluate_gate(parse_gate("size <= 25%"), inputs);
  CHECK(result.verdict == GateVerdict::kPass);
  CHECK(result.limit == 250);
  CHECK(verdict_of("size < 25%", inputs) == GateVerdict::kFail);
}

TEST_CASE("times pass or fail by their interval") {
  GateInputs inputs;
  inputs.candidate["median"] = {10e6, Interval{9e6, 11e6}, {}};
  CHECK(verdict_of("median < 12ms", inputs) == GateVerdict::kPass);
  CHECK(verdict_of("median < 8ms", inputs) == GateVerdict::kFail);
  CHECK(verdict_of("median < 10.5ms", inputs) == GateVerdict::kInconclusive);
  CHECK(verdict_of("median > 8ms", inputs) == GateVerdict::kPass);
  CHECK(verdict_of("median >= 11.5ms", inputs) == GateVerdict::kFail);
  inputs.candidate["median"].ci95.reset();
  CHECK(verdict_of("median < 1s", inputs) == GateVerdict::kInconclusive);
}

TEST_CASE("a withheld percentile is inconclusive, an unmeasured metric fails") {
  GateInputs inputs;
  inputs.candidate = latency_observations(summarize(std::vector<double>(100, 5e6)));
  const GateResult withheld = evaluate_gate(parse_gate("p99 < 1s"), inputs);
  CHECK(withheld.verdict == GateVerdict::kInconclusive);
  CHECK(withheld.reason == "needs 662 samples, has 100");
  CHECK(verdict_of("p90 < 1s", inputs) == GateVerdict::kPass);
  const GateResult missing = evaluate_gate(parse_gate("accuracy > 90%"), inputs);
  CHECK(missing.verdict == GateVerdict::kFail);
  CHECK(missing.reason == "accuracy was not measured");
  for (const char* metric : {"min", "mean", "median", "p50", "p95", "p99.9", "max"}) {
    CAPTURE(metric);
    CHECK(inputs.candidate.count(metric) == 1);
  }
}

TEST_CASE("relative times use the interleaved ratio, tails their own intervals") {
  GateInputs inputs;
  inputs.candidate["median"] = {5e6, Interval{1e6, 9e6}, {}};
  inputs.candidate["p99"] = {10e6, Interval{9e6, 11e6}, {}};
  inputs.against.emplace();
  (*inputs.against)["median"] = {10e6, Interval{1e6, 19e6}, {}};
  (*inputs.against)["p99"] = {20e6, Interval{19e6, 21e6}, {}};
  inputs.time_ratio = Observed{0.5, Interval{0.49, 0.51}, {}};
  CHECK(verdict_of("median < 60%", inputs) == GateVerdict::kPass);
  CHECK(verdict_of("median < 45%", inputs) == GateVerdict::kFail);
  CHECK(verdict_of("speedup >= 1.9x", inputs) == GateVerdict::kPass);
  CHECK(verdict_of("speedup >= 2x", inputs) == GateVerdict::kInconclusive);
  CHECK(verdict_of("speedup >= 2.1x", inputs) == GateVerdict::kFail);
  CHECK(verdict_of("p99 < 60%", inputs) == GateVerdict::kPass);
  CHECK(verdict_of("p99 < 50%", inputs) == GateVerdict::kInconclusive);
  inputs.time_ratio.reset();
  CHECK(verdict_of("median < 60%", inputs) == GateVerdict::kInconclusive);
  CHECK(verdict_of("speedup > 1x", inputs) == GateVerdict::kFail);
}

TEST_CASE("relative gates ask for --against before anything is measured") {
  for (const char* text : {"size < 50%", "p99 < 90%", "speedup > 1x"}) {
    CAPTURE(text);
    const std::vector<Gate> gates = {parse_gate("accuracy > 90%"), parse_gate(text)};
    CHECK_NOTHROW(require_against(gates, true));
    try {
      require_against(gates, false);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::kUsage);
      CHECK(error.id() == "gate.needs_against");
    }
  }
  CHECK_NOTHROW(require_against(std::vector<Gate>{parse_gate("accuracy > 90%")}, false));
  CHECK(samples_for_gates(std::vector<Gate>{parse_gate("p99 < 1s")}, 64) == 662);
  CHECK(samples_for_gates(std::vector<Gate>{parse_gate("size < 1MB")}, 64) == 64);
}

TEST_CASE("what was not measured on its device is simulated or undecided") {
  Gate gate = parse_gate("p95 <= 10ms");
  GateInputs inputs;
  inputs.candidate["p95"] = {1e6, Interval{0.9e6, 1.1e6}, {}};
  gate.basis = GateBasis::kNothing;
  gate.undecided = "not measured there";
  GateResult result = evaluate_gate(gate, inputs);
  CHECK(result.verdict == GateVerdict::kInconclusive);
  CHECK(result.reason == "not measured there");
  CHECK_FALSE(result.observed);
  gate.basis = GateBasis::kSimulated;
  CHECK(evaluate_gate(gate, inputs).verdict == GateVerdict::kInconclusive);
  inputs.simulated["p95"] = {std::nullopt, std::nullopt, "no shape is known"};
  CHECK(evaluate_gate(gate, inputs).reason == "no shape is known");
  inputs.simulated["p95"] = {11e6, std::nullopt, {}};
  result = evaluate_gate(gate, inputs);
  CHECK(result.verdict == GateVerdict::kFail);
  CHECK(result.observed == 11e6);
  inputs.simulated["p95"].value = 9e6;
  CHECK(evaluate_gate(gate, inputs).verdict == GateVerdict::kPass);
  CHECK_FALSE(gates_need_timing(std::span(&gate, 1)));
  CHECK(samples_for_gates(std::span(&gate, 1), 7) == 7);
}

TEST_CASE("what a machine has no sensor for is undecided") {
  GateInputs inputs;
  inputs.candidate["energy"] = {std::nullopt, std::nullopt, "there is no file"};
  const GateResult result = evaluate_gate(parse_gate("energy < 5mJ"), inputs);
  CHECK(result.verdict == GateVerdict::kInconclusive);
  CHECK(result.reason == "there is no file");
  inputs.candidate["energy"].value = 0.004;
  CHECK(evaluate_gate(parse_gate("energy < 5mJ"), inputs).verdict == GateVerdict::kPass);
}

TEST_CASE("a gate of a class of networks is judged for that class only") {
  std::vector<Gate> gates{parse_gate("size <= 10B"), parse_gate("size <= 20B")};
  gates[0].macs = {0, 1000};
  gates[1].macs = {1000, 5000};
  GateCase one;
  one.inputs.candidate["size"] = {15, std::nullopt, {}};
  one.inputs.macs = 1000;
  std::vector<GateResult> results = evaluate_gates(gates, std::span(&one, 1));
  REQUIRE(results.size() == 1);
  CHECK(results[0].verdict == GateVerdict::kFail);
  one.inputs.macs = 1001;
  results = evaluate_gates(gates, std::span(&one, 1));
  REQUIRE(results.size() == 1);
  CHECK(results[0].verdict == GateVerdict::kPass);
  one.inputs.macs = 5001;
  CHECK(evaluate_gates(gates, std::span(&one, 1)).empty());
  one.inputs.macs.reset();
  for (const GateResult& result : evaluate_gates(gates, std::span(&one, 1)))
    CHECK(result.verdict == GateVerdict::kInconclusive);
}

TEST_CASE("exit codes") {
  GateResult pass, fail, open;
  pass.verdict = GateVerdict::kPass;
  fail.verdict = GateVerdict::kFail;
  CHECK(gates_exit_code(std::vector<GateResult>{}) == ExitCode::kDone);
  CHECK(gates_exit_code(std::vector<GateResult>{pass}) == ExitCode::kDone);
  CHECK(gates_exit_code(std::vector<GateResult>{pass, open}) == ExitCode::kInconclusive);
  CHECK(gates_exit_code(std::vector<GateResult>{open, fail, pass}) == ExitCode::kGateMissed);
}

}  // namespace
}  // namespace lathe
