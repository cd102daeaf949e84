// A benchmark for people: one screen, verdict first. Made of the report, so that one process and
// several are shown alike.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "console.h"

namespace lathe {

/// Of a report with one case (and that of --against beside it): verdict line, table of both models,
/// gates, how it was measured, and at most three hints.
std::string bench_text(const nlohmann::json& report, const Console& console);

/// "PASS 3/3 gates", "FAIL 1/3 gates missed", "INCONCLUSIVE 1/3 gates undecided", painted; empty
/// for none.
std::string gates_verdict(const nlohmann::json& report, const Console& console);

/// "12.5 MiB".
std::string bytes_cell(double bytes);

/// A number of `object` without decimals; "0" where it is absent.
std::string count_text(const nlohmann::json& object, const char* key);

/// What to know of the engine's times; empty: nothing.
std::string engine_hint(const nlohmann::json& report);

/// One row a gate; empty for none.
std::string gates_table(const nlohmann::json& report, const Console& console);

}  // namespace lathe
