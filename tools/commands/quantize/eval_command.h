// The user's own metric: a command that is given a model's path and prints a number.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ir/model.h"
#include "options.h"
#include "profiles/profile.h"

namespace lathe {

/// The last number in a text, however it is decorated ("mAP: 0.543", "[12, 0.7]", "71.2%" is 71.2;
/// digits in names like top1 or v2.0 are none); nullopt without one. NaN and infinities spelled out
/// count, so that they are not passed over.
std::optional<double> last_number(std::string_view text);

/// Runs `command` by /bin/sh with the model's path as its last argument, and waits as long as it
/// takes. The path is handed over as an argument of its own, so no character of it is read by the
/// shell. The last number on its standard output is the metric; higher is better. Throws Error:
/// exit 3 with the last line of its standard error when it fails, and when there is no finite
/// number; exit 130 after SIGINT, the command ended.
double run_eval_command(const std::string& command, const std::string& model_path);

/// The command on `model`, written as quantize writes it to a temporary file in the output's
/// folder, which is removed whatever happens.
double score_by_command(const QuantizeOptions& options, const Profile& profile, const Model& model);

}  // namespace lathe
