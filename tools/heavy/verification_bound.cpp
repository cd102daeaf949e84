#include "heavy/verification_bound.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/error.h"

namespace lathe {

VerificationBound verification_bound(const CompileOptions& options, const Graph& graph,
                                     bool arithmetic) {
  VerificationBound bound;
  if (options.tolerance) {
    bound.tolerance = *options.tolerance;
    return bound;
  }
  bound.tolerance = options.float16 ? 5e-3 : arithmetic ? 1e-4 : 1e-6;
  if (options.float16 && options.verify == "random") bound.min_sqnr_db = 30.0;
  for_each_graph(graph, [&](const Graph& inner) {
    for (const ValueId id : inner.value_ids()) {
      const DType dtype = inner.value(id).type.dtype;
      if (dtype == DType::kFloat16 || dtype == DType::kBFloat16)
        bound.tolerance = std::max(bound.tolerance, 5e-3);
    }
    for (const NodeId id : inner.node_ids())
      if (inner.node(id).kind == OpKind::kQuantizeLinear ||
          inner.node(id).kind == OpKind::kDynamicQuantizeLinear)
        bound.tolerance = std::max(bound.tolerance, 2e-2);
  });
  return bound;
}

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
