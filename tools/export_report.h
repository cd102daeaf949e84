// --html and --export: the report in other formats, beside its JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "options.h"
#include "report/export.h"

namespace lathe {

/// --html and --export as requests. Throws Error (exit 2) for what parse_export refuses, for two
/// exports on standard output, and for one together with --json.
std::vector<ExportRequest> export_requests(const CommonOptions& common);

/// Before the work starts: Error (exit 2 or 9) when a file cannot be written, exists without
/// --force, is one of `inputs`, or is named twice (--output and --report included).
void check_exports(const CommonOptions& common, const std::vector<std::string>& inputs);

/// Writes the files, not what goes to stdout, atomically and in order; those in `written` are
/// replaced, and all are added to it. Throws Error (exit 9).
void write_exports(const nlohmann::json& report, const CommonOptions& common,
                   std::set<std::string>& written);

/// The export that goes to stdout; "" without one.
std::string printed_export(const nlohmann::json& report, const CommonOptions& common);

}  // namespace lathe
