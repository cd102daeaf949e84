// What `lathe quantize` prints when it is done: verdict first, one screen.
#pragma once

#include <optional>
#include <string>

#include "commands/quantize/evaluation.h"
#include "commands/quantize/quantize_job.h"
#include "report/report.h"

namespace lathe {

/// `report` holds model, model_out, memory, run and exit code by now.
std::string quantize_text(const QuantizeOptions& options, const Report& report,
                          const QuantizedModel& quantized,
                          const std::optional<Evaluation>& evaluation, const Console& console);

}  // namespace lathe
