#include "heavy/quantize/output_sqnr.h"

#include <algorithm>
#include <cmath>

namespace lathe {

double output_sqnr(const CompareResult& result) {
  double sum = 0;
  for (const ValueError& output : result.outputs) {
    const double db = output.sums.sqnr_db();
    sum += std::isnan(db) ? -120.0 : std::clamp(db, -120.0, 120.0);
  }
  return result.outputs.empty() ? 0 : sum / static_cast<double>(result.outputs.size());
}

}  // namespace lathe
