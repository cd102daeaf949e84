// Recurrent models whose weights lie outside the branches that read them.
#pragma once

#include <cstdint>
#include <functional>

#include "commands/quantize/quantize_job.h"

namespace lathe {

/// Copies weights into the bodies of If, Loop and Scan and simplifies again, where more nodes can
/// then be quantized by what `planned` counts; else the graph stays as it is.
void bring_weights_into_bodies(const QuantizeJob& job,
                               const std::function<int64_t(const Graph&)>& planned);

}  // namespace lathe
