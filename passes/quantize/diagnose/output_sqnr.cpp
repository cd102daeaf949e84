#include "quantize/diagnose/output_sqnr.h"

#include <algorithm>
#include <cmath>

namespace lathe {
namespace {

constexpr double kAllowedFall = 0.25;  // dB

double bounded(const ValueError& output) {
  const double db = output.sums.sqnr_db();
  return std::isnan(db) ? -120.0 : std::clamp(db, -120.0, 120.0);
}

}  // namespace

double output_sqnr(const CompareResult& result) {
  double sum = 0;
  for (const ValueError& output : result.outputs) sum += bounded(output);
  return result.outputs.empty() ? 0 : sum / static_cast<double>(result.outputs.size());
}

bool improves_outputs(const CompareResult& before, const CompareResult& after) {
  if (output_sqnr(after) <= output_sqnr(before)) return false;
  for (size_t i = 0; i < before.outputs.size() && i < after.outputs.size(); ++i)
    if (bounded(after.outputs[i]) < bounded(before.outputs[i]) - kAllowedFall) return false;
  return true;
}

}  // namespace lathe
