// The sentences that say how a run ended, the same on the page, in annotations and in test reports.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// "PASS", "FAIL", "INCONCLUSIVE", "ERROR" or, for a report without a known verdict, "UNKNOWN".
std::string verdict_word(const nlohmann::json& report);

/// One line: gates, speed, size, quality, or the error. Text from files is escaped for a terminal
/// (escape_untrusted), not for a format.
std::string report_headline(const nlohmann::json& report);

/// A figure of `gate` (an element of report.gates) in its unit: "1.23 ms", "128.7 KiB", "1.64x",
/// "98.3 %", "31.2 dB"; for a latency relative to the --against model's "96.4 %".
std::string gate_value_text(const nlohmann::json& gate, double value);

/// A gate's observed figure, with "(simulated)" where it is; "-" without one.
std::string observed_text(const nlohmann::json& gate);

/// One line that says what a gate found: "speedup is 0.78x (CI 0.75x–0.81x), must be >= 0.9x:
/// Conv_12 (Conv) +1.2 ms".
std::string gate_sentence(const nlohmann::json& report, const nlohmann::json& gate);

/// What got slower in the case `id`, from the comparison's blame, or else its op_deltas; empty when
/// nothing is known.
std::string blame_of(const nlohmann::json& report, const nlohmann::json& id);

/// "−52 %", "+1.3 %", "±0 %"; "–" when it cannot be said.
std::string change_text_of(const nlohmann::json& before, const nlohmann::json& after);

/// "1.64x faster (CI 1.34–2.07)" of one of comparison.cases; empty without a ratio.
std::string speed_sentence(const nlohmann::json& row);

/// Gates with failed ones first, the largest excess over the limit first; then the undecided.
std::vector<const nlohmann::json*> worst_gates(const nlohmann::json& report);

}  // namespace lathe
