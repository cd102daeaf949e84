#include "verify/verification_bound.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/error.h"

namespace lathe {

std::string bound_text(const VerificationBound& bound) {
  return bound.min_sqnr_db ? fmt::format("SQNR {:.0f} dB", *bound.min_sqnr_db)
                           : fmt::format("max|a-b|/max|a| {:.0e}", bound.tolerance);
}

double strain(const ErrorSums& sums, const VerificationBound& bound) {
  if (sums.unequal_non_finite > 0) return INFINITY;
  if (bound.min_sqnr_db) return std::pow(10.0, (*bound.min_sqnr_db - sums.sqnr_db()) / 10);
  const double error = sums.relative_max_error();
  if (error == 0) return 0;
  return error / bound.tolerance * (error / bound.tolerance);
}

std::string missed_bound(const ValueError& output, const VerificationBound& bound) {
  if (strain(output.sums, bound) <= 1) return {};
  const std::string name = escape_untrusted(output.value);
  if (bound.min_sqnr_db)
    return fmt::format("output {} differs: SQNR {:.1f} dB (allowed {:.0f} dB)", name,
                       output.sums.sqnr_db(), *bound.min_sqnr_db);
  return fmt::format("output {} differs by {} (allowed {:.1e})", name,
                     output.sums.unequal_non_finite > 0
                         ? "NaN or infinity"
                         : fmt::format("{:.2e}", output.sums.relative_max_error()),
                     bound.tolerance);
}

}  // namespace lathe
