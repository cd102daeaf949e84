#include "gates/gate_cases.h"

#include <fmt/format.h>

#include <algorithm>

#include "os/glob.h"

namespace lathe {
namespace {

GateResult failed(const Gate& gate, const std::string& case_id, std::string reason) {
  GateResult result;
  result.gate = gate;
  result.case_id = case_id;
  result.limit = gate.limit;
  result.verdict = GateVerdict::kFail;
  result.reason = std::move(reason);
  return result;
}

void judge_cases(const Gate& gate, std::span<const GateCase> cases,
                 std::vector<GateResult>& results) {
  const Glob glob(gate.cases.empty() ? "*" : gate.cases);
  bool found = false;
  for (const GateCase& one : cases) {
    if (!glob.matches(one.id)) continue;
    found = true;
    // Of another class of networks.
    if (gate.macs && one.inputs.macs &&
        (*one.inputs.macs <= gate.macs->first || *one.inputs.macs > gate.macs->second))
      continue;
    if (!one.failure.empty()) {
      results.push_back(failed(gate, one.id, "the case failed: " + one.failure));
      continue;
    }
    results.push_back(evaluate_gate(gate, one.inputs));
    results.back().case_id = one.id;
  }
  if (found) return;
  const std::string known =
      cases.empty() ? "nothing was measured" : "cases are called like " + cases.front().id;
  results.push_back(
      failed(gate, {}, fmt::format("no case '{}': {}", escape_untrusted(gate.cases), known)));
}

}  // namespace

std::vector<Gate> parse_gates(std::string_view text, const std::string& file) {
  // Some editors begin a file with a byte order mark.
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::vector<Gate> gates;
  int line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
      line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    try {
      gates.push_back(parse_gate(line));
    } catch (const Error& error) {
      throw bad_usage(error.id(), error.text().message, fmt::format("{}:{}", file, line_number),
                      error.text().hint);
    }
  }
  return gates;
}

bool is_deterministic(const Gate& gate) { return !is_timed(gate); }

std::vector<GateResult> evaluate_gates(std::span<const Gate> gates,
                                       std::span<const GateCase> cases) {
  std::vector<GateResult> results;
  for (const bool deterministic : {true, false})
    for (const Gate& gate : gates)
      if (is_deterministic(gate) == deterministic) judge_cases(gate, cases, results);
  return results;
}

}  // namespace lathe
