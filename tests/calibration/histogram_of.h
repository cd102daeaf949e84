#pragma once

#include <vector>

#include "calibration/histogram.h"

namespace lathe {

inline Histogram histogram_of(const std::vector<float>& values) {
  Histogram histogram;
  histogram.add(values);
  return histogram;
}

}  // namespace lathe
