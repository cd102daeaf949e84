#include "heavy/error_rows.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "ir/error.h"

namespace lathe {

void put_finite(nlohmann::json& row, const std::string& name, double value,
                const std::string& reason) {
  if (std::isfinite(value)) {
    row[name] = value;
  } else {
    row[name] = nullptr;
    row[name + "_reason"] = reason;
  }
}

std::string decibel_text(double sqnr_db) {
  if (std::isnan(sqnr_db)) return "-";
  if (std::isinf(sqnr_db)) return sqnr_db > 0 ? "equal" : "no signal";
  return fmt::format("{:.1f} dB", sqnr_db);
}

std::vector<std::vector<std::string>> error_table(const std::vector<ValueError>& errors,
                                                  size_t count) {
  std::vector<std::vector<std::string>> rows{{"value", "op", "SQNR", "cosine", "max |a-b|/max|a|"}};
  for (size_t i = 0; i < errors.size() && i < count; ++i) {
    const ValueError& error = errors[i];
    rows.push_back({escape_untrusted(error.value, 48), error.node_type,
                    decibel_text(error.sums.sqnr_db()), fmt::format("{:.5f}", error.sums.cosine()),
                    fmt::format("{:.2e}", error.sums.relative_max_error())});
  }
  return rows;
}

nlohmann::json error_rows(const std::vector<ValueError>& errors) {
  nlohmann::json rows = nlohmann::json::array();
  for (const ValueError& error : errors) {
    nlohmann::json row = {{"value", escape_untrusted(error.value)},
                          {"node", escape_untrusted(error.node)},
                          {"node_type", error.node_type},
                          {"elements", error.sums.count},
                          {"max_abs_error", error.sums.max_abs_error}};
    put_finite(row, "sqnr_db", error.sums.sqnr_db(),
               error.sums.noise == 0 ? "equal" : "the reference is zero or not finite");
    put_finite(row, "cosine", error.sums.cosine(), "not finite");
    put_finite(row, "relative_max_error", error.sums.relative_max_error(), "the reference is zero");
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace lathe
