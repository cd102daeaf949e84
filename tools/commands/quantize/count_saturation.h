// Which channels get smaller weights on a device whose pair sums saturate: judged on the
// calibration data between planning and whatever improves the plan.
#pragma once

#include "commands/quantize/quantize_job.h"

namespace lathe {

/// Nothing on other devices. A plan has larger steps wherever the weights allow saturation; this
/// gives the channels their 8 bits again for which the data (--data, at most 32 samples of it) say
/// that nothing is gained, and writes every layer's figures and reason into details["saturation"].
void count_saturation(const QuantizeJob& job, const IntegerRules& rules, PrecisionPlan& plan,
                      QuantizedModel& result);

}  // namespace lathe
