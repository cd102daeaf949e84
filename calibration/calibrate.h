// One streaming pass over the calibration data that serves every observer at once.
#pragma once

#include <map>
#include <set>
#include <string>

#include "calibration/histogram.h"
#include "run/sample_runner.h"

namespace lathe {

/// What calibration knows of a network: one histogram per value, by value name.
struct Statistics {
  int64_t samples = 0;
  std::map<std::string, Histogram> values;
};

/// Runs every sample once and collects the float values of `graph` (that of `interpreter`) named
/// in `values`, graph inputs included. Memory: values x bins x threads, whatever the number of
/// samples. The result does not depend on the number of threads.
/// Throws Error (exit 3) when a value is NaN or infinite, naming it and its producer.
Statistics calibrate(const Interpreter& interpreter, const std::set<ValueId>& values,
                     const SampleSource& source, const SampleRunOptions& options);

/// JSON text of the statistics and back; `load` throws Error (exit 3) for a damaged file.
std::string save_statistics(const Statistics& statistics);
Statistics load_statistics(const std::string& text, const std::string& file);

}  // namespace lathe
