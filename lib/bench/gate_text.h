// Gates and comparisons in words.
#pragma once

#include <span>
#include <string>

#include "bench/comparison.h"
#include "bench/gate.h"

namespace lathe {

/// A value in the unit that the gate compares in: "1.23 ms", "96.4 %" (of the --against model's
/// time), "83.1/s", "1.83x", "3.2 MiB", "0.5 %", "31.2 dB".
std::string gate_value_text(const Gate& gate, double value);

/// "1.83x faster (CI 1.79–1.87)", "1.07x slower (CI …)", "as fast (0.998x, CI …)" or "speed
/// inconclusive (…)": how the candidate stands to the --against model.
std::string speed_text(const Comparison& comparison);

/// "PASS 3/3 gates", "FAIL 1/3 gates missed", "INCONCLUSIVE 1/3 gates undecided"; empty for none.
std::string gates_text(std::span<const GateResult> results);

/// "−74 %", "+3.2 %", "±0 %": how `after` stands to `before`; "-" when `before` is 0.
std::string change_text(double before, double after);

}  // namespace lathe
