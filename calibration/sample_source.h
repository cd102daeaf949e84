// A data set as lib takes it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "calibration/data_set.h"
#include "run/sample_runner.h"

namespace lathe {

/// Refers to `data`.
SampleSource sample_source(const DataSet& data);

/// Labels of a sample; an empty function when the set has none.
std::function<std::vector<int64_t>(size_t)> label_source(const DataSet& data);

}  // namespace lathe
