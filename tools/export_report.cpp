#include "export_report.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "ir/error.h"
#include "os/check_output.h"
#include "os/publish.h"

namespace lathe {
namespace {

bool to_stdout(const ExportRequest& request) { return request.path == "-"; }

}  // namespace

std::vector<ExportRequest> export_requests(const CommonOptions& common) {
  std::vector<ExportRequest> requests;
  if (!common.html.empty()) requests.push_back(parse_export("html=" + common.html, "--html"));
  for (const std::string& text : common.exports) requests.push_back(parse_export(text, "--export"));
  const auto printed = std::count_if(requests.begin(), requests.end(), to_stdout);
  if (printed > 1 || (printed > 0 && common.json))
    throw bad_usage("usage.export", "standard output can hold one document", "--export",
                    common.json ? "leave --json out, or name a file" : "name a file");
  return requests;
}

void check_exports(const CommonOptions& common, const std::vector<std::string>& inputs) {
  std::vector<std::string> paths;
  for (const ExportRequest& request : export_requests(common))
    if (!to_stdout(request)) paths.push_back(request.path);
  check_outputs(paths, common.force, inputs);
  for (const std::string& path : paths)
    for (const auto& [flag, other] :
         {std::pair<std::string, std::string>{"--report", common.report},
          {"--output", common.output}})
      if (!other.empty() && same_file(path, other))
        throw bad_usage("output.twice", flag + " and an export name the same file",
                        escape_untrusted(path), "give them different names");
}

void write_exports(const nlohmann::json& report, const CommonOptions& common,
                   std::set<std::string>& written) {
  for (const ExportRequest& request : export_requests(common)) {
    if (to_stdout(request)) continue;
    publish_file(request.path, export_report(report, *request.kind),
                 common.force || written.contains(request.path));
    written.insert(request.path);
  }
}

std::string printed_export(const nlohmann::json& report, const CommonOptions& common) {
  for (const ExportRequest& request : export_requests(common))
    if (to_stdout(request)) return export_report(report, *request.kind);
  return {};
}

}  // namespace lathe
