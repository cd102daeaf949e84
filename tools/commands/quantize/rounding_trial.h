// What rounding of weights from --data is tried with and judged by, in all modes that round so.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "commands/quantize/quantize_job.h"
#include "quantize/weights/rounding_options.h"

namespace lathe {

/// Whether --effort and --data allow rounding by what layers compute; warns where they do not, but
/// the user seems to count on it.
bool rounds_by_data(const QuantizeJob& job);

/// The efforts to try, in order: balanced, and with --effort best learned rounding, too.
std::vector<std::string> efforts_to_try(const QuantizeJob& job);

RoundingOptions rounding_options(const QuantizeJob& job, const std::string& effort);

/// {node, method, bias_correction, clipped, rows, error_nearest, error_after}
nlohmann::json rounding_rows(const Graph& graph, const std::vector<RoundingRow>& rows);

}  // namespace lathe
