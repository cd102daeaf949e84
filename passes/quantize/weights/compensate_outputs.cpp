#include "quantize/weights/compensate_outputs.h"

#include <cmath>

#include "ir/x86_clones.h"

namespace lathe {

// Every machine multiplies and subtracts one after the other, so that all round alike.
LATHE_X86_CLONES void compensate_outputs(const double* factor, int64_t inputs, const double* scales,
                                         double qmin, double qmax, double* weights) {
  constexpr int64_t kLanes = kCompensatedOutputs;
  double errors[kLanes];
  for (int64_t i = 0; i < inputs; ++i) {
    const double* const row = factor + i * inputs;
    double* const now = weights + i * kLanes;
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double scale = scales[i * kLanes + lane];
      const double steps = std::nearbyint(now[lane] / scale);
      const double inside = steps < qmin ? qmin : steps > qmax ? qmax : steps;
      errors[lane] = (now[lane] - inside * scale) / row[i];
      now[lane] = inside * scale;
    }
    for (int64_t j = i + 1; j < inputs; ++j)
      for (int64_t lane = 0; lane < kLanes; ++lane)
        weights[j * kLanes + lane] -= errors[lane] * row[j];
  }
}

}  // namespace lathe
