// Whether --data can tell what a network's values are like.
#pragma once

#include <string>

#include "commands/quantize/quantize_job.h"
#include "run/sample_runner.h"

namespace lathe {

/// There is one sample, or all hold the same values. Reads samples until one differs from the first:
/// the second, as a rule.
bool all_alike(const SampleSource& source);

/// Warns (quantize.calibration_data) where --data are certain to be of little use: they hold one
/// value throughout, all samples are the same, or, for `mode` "static", there is one sample only,
/// which may be a whole batch that was fed at once. Modes that do not read --data are passed over.
/// Reads samples until one differs from the first: the second, as a rule. Random data are never
/// judged.
void judge_calibration(const QuantizeJob& job, const std::string& mode);

}  // namespace lathe
