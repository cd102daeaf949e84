// One streaming pass over the calibration data that serves every observer at once.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "calibration/channel_means.h"
#include "calibration/channel_statistics.h"
#include "calibration/histogram.h"
#include "run/sample_runner.h"

namespace lathe {

/// What calibration knows of a network, by value name.
struct Statistics {
  int64_t samples = 0;
  std::map<std::string, Histogram> values;
  /// Mean of every channel of the values that integer convolutions and products read.
  std::map<std::string, std::vector<double>> channel_means;
  /// What the channels of values hold that equalization looks at.
  std::map<std::string, ChannelStatistics> channels;
  /// Factors that equalize_channels() had scaled the network with before it was calibrated: name of
  /// a class's first value -> one factor a channel. The other members describe the scaled network.
  std::map<std::string, std::vector<double>> scales;
  /// By which RangeRule (choose_range.h), as text, each value's range was chosen; empty: by none.
  std::map<std::string, std::string> ranges;
  /// What all this was taken from, in the words of who took it; empty in files of earlier versions.
  std::map<std::string, std::string> source;
};

/// What to collect: histograms of `ranges`; means, and all that there is to know of channels, along
/// an axis of `means` and `channels`.
struct CalibrationTargets {
  std::set<ValueId> ranges;
  std::map<ValueId, int64_t> means;
  std::map<ValueId, int64_t> channels;
};

/// Runs every sample once and collects the targets' float values of the interpreter's graph, graph
/// inputs included. Memory: values x bins x threads, whatever the number of samples. The result
/// does not depend on the number of threads.
/// Throws Error (exit 3) when a value is NaN or infinite, naming it and its producer.
Statistics calibrate(const Interpreter& interpreter, const CalibrationTargets& targets,
                     const SampleSource& source, const SampleRunOptions& options);

/// What one pass knows of all samples, and of those alone that are not held out.
struct SplitStatistics {
  Statistics all;
  Statistics fitted;
};

/// Told of every sample's run; called from several threads at once.
using OnCalibrated = std::function<void(size_t sample, const std::vector<RuntimeValue>& inputs,
                                        const std::vector<RuntimeValue>& outputs)>;

/// calibrate() of both; `held`(sample): it is held out. Errors and memory as above, twice.
SplitStatistics calibrate_split(const Interpreter& interpreter, const CalibrationTargets& targets,
                                const SampleSource& source, const SampleRunOptions& options,
                                const std::function<bool(size_t sample)>& held,
                                const OnCalibrated& on_calibrated = {});

/// A value's histogram and channels take about 12 KB.
constexpr size_t kMaxStatisticsBytes = size_t{1} << 30;

/// JSON text of the statistics and back; `load` throws Error (exit 3) for a damaged file, with the
/// advice to remove it.
std::string save_statistics(const Statistics& statistics);
Statistics load_statistics(const std::string& text, const std::string& file);

}  // namespace lathe
