// Error figures of compared values as table rows and report sections.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "run/compare.h"

namespace lathe {

/// "23.1 dB", "equal" without noise, "-" where it is not defined.
std::string decibel_text(double sqnr_db);

/// Heading and the first `count` rows: value, op, SQNR, cosine, max error.
std::vector<std::vector<std::string>> error_table(const std::vector<ValueError>& errors,
                                                  size_t count);

/// [{value, node, node_type, sqnr_db, cosine, max_abs_error, relative_max_error, elements}];
/// infinite figures are null with a reason.
nlohmann::json error_rows(const std::vector<ValueError>& errors);

/// row[name] = value; of NaN and infinity null, and row[name + "_reason"] = reason.
void put_finite(nlohmann::json& row, const std::string& name, double value,
                const std::string& reason);

}  // namespace lathe
