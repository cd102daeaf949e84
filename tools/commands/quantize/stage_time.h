// --time: what makes a quantized network better stops when it is up; what makes one does not.
#pragma once

#include <functional>
#include <string>

#include "commands/quantize/quantize_job.h"

namespace lathe {

/// --time as seconds from the start; infinite without it. Throws Error (exit 2) for a wrong one.
double allowed_seconds(const QuantizeOptions& options);

/// For long loops of optional stages: throws after a signal, and when the time is up.
std::function<void()> stage_check(const QuantizeJob& job);

/// Runs an optional stage whose loops call stage_check(). False where the time was up before it
/// began or ended; what it had finished stays, the rest is as it was; its name is kept,
/// as are the seconds of the others.
bool within_time(const QuantizeJob& job, const std::string& stage,
                 const std::function<void()>& run);

/// Names them, if there are any.
void warn_left_out(const QuantizeJob& job);

}  // namespace lathe
