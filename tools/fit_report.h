// Whether a model fits into the device of --profile, for people and for reports.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "artifact/plan_file.h"
#include "command_run.h"
#include "profiles/fit.h"

namespace lathe {

/// The report's section "fit".
nlohmann::json fit_json(const Fit& fit, const Profile& profile);

/// One line for a first screen: "does not fit esp32: RAM 1.44 MiB of 320 KiB; would fit with …".
std::string fit_sentence(const Fit& fit, const Profile& profile, const Console& console);

/// Rows for a table: a row each line, what is largest, and what would help.
std::vector<std::vector<std::string>> fit_rows(const Fit& fit, const Profile& profile,
                                               const Console& console);

/// Of a plan whose file has so many bytes.
FitFile fit_file_of(const PlanFile& plan, int64_t bytes);

/// Puts the section into the report; with --require-fit the run ends with 4 (5 where it cannot be
/// told) if the model does not fit.
Fit note_fit(CommandRun& run, const Graph& graph, const FitFile& file);

}  // namespace lathe
