// What quantization with the parameters of a range does to a histogram's values.
#pragma once

#include <utility>
#include <vector>

#include "calibration/choose_range.h"
#include "ir/quantization.h"

namespace lathe {

/// quantization_error() of many ranges for one histogram, grid and response.
class RangeError {
 public:
  RangeError(const Histogram& histogram, const IntegerGrid& grid, const Response& response);

  double of(const Range& range) const;

 private:
  double of_values(const ScaleZeroPoint& chosen) const;
  double behind_response(const ScaleZeroPoint& chosen) const;

  IntegerGrid grid_;
  Response response_;
  double width_ = 0;
  double count_ = 0;
  // Of the bins that hold something, in order.
  std::vector<double> centers_;
  std::vector<double> counts_;
  std::vector<double> responses_;
};

}  // namespace lathe
