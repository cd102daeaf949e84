// The frame of a command: what every one begins with, and how every one ends.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "console.h"
#include "options.h"
#include "profiles/profile.h"
#include "report/report.h"
#include "stopwatch.h"

namespace lathe {

struct CommandRun {
  CommonOptions common;
  Console& console;
  Stopwatch clock;
  Profile profile;  // --profile
  Report report;
  std::string fit_text;              // said last; see fit_report.h
  std::optional<ExitCode> fit_code;  // of --require-fit, when missed
};

/// Starts the clock, loads --profile and starts the report with it. Throws Error (exit 2, 3) for a
/// profile that cannot be read.
CommandRun begin_run(const std::string& command, const CommonOptions& common, Console& console);

/// Throws Error (exit 2) without -o, unless --dry-run: "where should the WHAT go?", "add -o
/// EXAMPLE".
void require_output(const CommonOptions& common, std::string_view what, std::string_view example);

/// Checks `files`, those that have a name, and --report before the work starts (check_outputs).
void check_files(const CommonOptions& common, std::vector<std::string> files,
                 const std::vector<std::string>& inputs);

/// Writes a file (`replace`: over another) and lists it among the report's artifacts.
void publish_artifact(CommandRun& run, const std::string& kind, const std::string& path,
                      std::string_view bytes, bool replace);

/// Notes the time so far and the peak of memory, for a text that speaks of them.
void note_usage(CommandRun& run);

/// The report as JSON, with time and memory, unless they were noted.
nlohmann::json finished_report(CommandRun& run);

/// Prints `text` and delivers finished_report() or `document`, with all warnings. Returns the
/// report's exit code.
int finish_run(CommandRun& run, const std::string& text = {});
int finish_run(CommandRun& run, const nlohmann::json& document, const std::string& text);

}  // namespace lathe
