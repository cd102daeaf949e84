// --duration: a long run as a section of the report, as gates, and for people.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "gates/gate.h"
#include "statistics/soak.h"

namespace lathe {

/// What a child tells of its run: [seconds, runs, latency_ns, resident_bytes] a stretch.
nlohmann::json soak_points_json(const SoakRun& soak);
std::vector<SoakPoint> read_soak_points(const nlohmann::json& points);

/// The case's section "soak".
nlohmann::json soak_json(const SoakVerdict& verdict, const nlohmann::json& points);

/// Two gates: the latency keeps its level, the memory does not grow.
std::vector<GateResult> soak_gates(const std::string& case_id, const SoakVerdict& verdict);

/// Lines for the screen, of a case's row; empty without a long run.
std::string soak_text(const nlohmann::json& row);

}  // namespace lathe
