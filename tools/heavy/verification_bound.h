// How far a compiled model's outputs may be from the original's.
#pragma once

#include <optional>
#include <string>

#include "ir/graph.h"
#include "options.h"
#include "run/compare.h"

namespace lathe {

struct VerificationBound {
  double tolerance = 0;               // max|a-b| / max|a|
  std::optional<double> min_sqnr_db;  // where set, judged instead of the tolerance
};

/// What --tolerance or, by default, the graph's precision allows: max|a-b|/max|a| of 1e-6 for
/// float32, 1e-4 where a pass has changed the order of sums (`arithmetic`), 5e-3 with float16, 2e-2
/// where values are quantized (one step).
///
/// --float16 on seeded inputs is judged by an SQNR of 30 dB instead (noise of 3 % of the output's
/// root mean square). Rounding to 11 bits leaves about 75 dB behind one layer; noise gathers over
/// the layers, and on noise a trained network has neither margins nor an output range of the usual
/// size: healthy networks come out between 30 and 75 dB, a wrong conversion (overflow, a lost
/// weight, an exchanged axis) below 20. The largest of some hundred thousand differences on noise
/// says little about data: only --verify DATA claims the 5e-3.
VerificationBound verification_bound(const CompileOptions& options, const Graph& graph,
                                     bool arithmetic);

/// "max|a-b|/max|a| 5e-03" or "SQNR 30 dB".
std::string bound_text(const VerificationBound& bound);

/// The noise that the output has as a multiple of what the bound allows, in power: 1 uses the bound
/// up. Infinite where NaN or infinity differ.
double strain(const ErrorSums& sums, const VerificationBound& bound);

/// "output y differs by 2.1e-02 (allowed 5.0e-03)"; empty when it is within the bound.
std::string missed_bound(const ValueError& output, const VerificationBound& bound);

}  // namespace lathe
