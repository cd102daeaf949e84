// Gates over several cases, and gates from a file.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gates/gate.h"

namespace lathe {

/// One gate a line; empty lines, what follows a `#` and a byte order mark are left out. Throws
/// Error (exit 2) as parse_gate does, its place "FILE:LINE".
std::vector<Gate> parse_gates(std::string_view text, const std::string& file);

/// What one case offers to gates.
struct GateCase {
  std::string id;
  GateInputs inputs;
  std::string failure;  // why nothing was measured; empty: it was
};

/// Whether a gate is judged without taking time: sizes, memory, accuracy, coverage.
bool is_deterministic(const Gate& gate);

/// Every gate on every case that it names, the deterministic ones first, otherwise in the given
/// order. A gate that names no case that exists, or one that failed, fails and says so.
std::vector<GateResult> evaluate_gates(std::span<const Gate> gates,
                                       std::span<const GateCase> cases);

}  // namespace lathe
