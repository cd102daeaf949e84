// One case measured in several processes: what is common to their samples, and what is not.
#pragma once

#include <optional>
#include <vector>

#include "statistics/statistics.h"

namespace lathe {

struct PooledSummary {
  /// Of all samples together. The median's interval also spans the processes' medians (layout and
  /// placement differ from process to process, which samples of one cannot show); drift is the
  /// median of the processes' own; autocorrelation likewise.
  Summary summary;
  std::vector<double> process_medians;
  /// (largest - smallest process median) / median of them; absent for one process.
  std::optional<double> spread;
};

/// `processes`: each one's values in the order of measurement. Throws InternalError when a process
/// has none, or there is no process.
PooledSummary summarize_processes(const std::vector<std::vector<double>>& processes);

}  // namespace lathe
