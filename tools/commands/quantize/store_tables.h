// Embedding tables of --mode static.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "commands/quantize/quantize_job.h"

namespace lathe {

/// Makes integers of the job's tables that a Gather reads, a scale a column, where the profile's
/// runtime expands what was gathered: before calibration, so that all that is measured has their
/// rounding in it. Returns the report's rows of them; empty without.
nlohmann::json store_tables(const QuantizeJob& job);

/// ", 2 tables int8"; empty without.
std::string tables_text(const nlohmann::json& tables);

}  // namespace lathe
