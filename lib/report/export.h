// The formats that a report can be written in besides its own JSON. The report stays the only
// source: an exporter reads nothing else.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

struct ExportKind {
  std::string name;         // "junit"
  std::string description;  // for --help and errors
  std::string (*make)(const nlohmann::json& report);
};

/// html, md, csv, junit, gbench, gha-smaller, gha-bigger, bmf, openmetrics, github, github-summary.
const std::vector<ExportKind>& export_kinds();

/// A file to write. `path` "-" is standard output.
struct ExportRequest {
  const ExportKind* kind = nullptr;
  std::string path;
};

/// "junit=gates.xml". Throws Error (exit 2): no '=', no file, or an unknown kind, naming the
/// nearest. `flag` is the place of the error ("--export").
ExportRequest parse_export(std::string_view text, std::string_view flag);

/// The whole file. The same report gives the same bytes.
std::string export_report(const nlohmann::json& report, const ExportKind& kind);

}  // namespace lathe
