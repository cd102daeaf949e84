// How far the outputs of a changed network may be from the original's.
#pragma once

#include <optional>
#include <string>

#include "run/compare.h"

namespace lathe {

struct VerificationBound {
  double tolerance = 0;               // max|a-b| / max|a|
  std::optional<double> min_sqnr_db;  // where set, judged instead of the tolerance
};

/// "max|a-b|/max|a| 5e-03" or "SQNR 30 dB".
std::string bound_text(const VerificationBound& bound);

/// The noise that the output has as a multiple of what the bound allows, in power: 1 uses the bound
/// up. Infinite where NaN or infinity differ.
double strain(const ErrorSums& sums, const VerificationBound& bound);

/// "output y differs by 2.1e-02 (allowed 5.0e-03)"; empty when it is within the bound.
std::string missed_bound(const ValueError& output, const VerificationBound& bound);

}  // namespace lathe
