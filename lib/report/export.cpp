#include "report/export.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "ir/error.h"
#include "report/bencher_metrics.h"
#include "report/csv.h"
#include "report/github_action.h"
#include "report/github_annotations.h"
#include "report/google_benchmark.h"
#include "report/html_page.h"
#include "report/junit.h"
#include "report/markdown.h"
#include "report/nearest_name.h"
#include "report/openmetrics.h"

namespace lathe {

const std::vector<ExportKind>& export_kinds() {
  static const std::vector<ExportKind> kinds{
      {"html", "one page for a browser, without network", to_html},
      {"md", "Markdown", report_markdown},
      {"csv", "one row a case", to_csv},
      {"junit", "gates as tests (GitLab, Jenkins)", to_junit},
      {"gbench", "google/benchmark's JSON", to_google_benchmark},
      {"gha-smaller", "github-action-benchmark, customSmallerIsBetter", to_github_action_smaller},
      {"gha-bigger", "github-action-benchmark, customBiggerIsBetter", to_github_action_bigger},
      {"bmf", "Bencher Metric Format", to_bencher_metrics},
      {"openmetrics", "OpenMetrics text (GitLab, Prometheus)", to_openmetrics},
      {"github", "annotations of GitHub Actions; github=- prints them", to_github_annotations},
      {"github-summary", "Markdown for $GITHUB_STEP_SUMMARY", to_github_summary},
  };
  return kinds;
}

ExportRequest parse_export(std::string_view text, std::string_view flag) {
  std::vector<std::string> names;
  for (const ExportKind& kind : export_kinds()) names.push_back(kind.name);
  const size_t equal = text.find('=');
  const std::string name(text.substr(0, equal));
  const auto kind = std::find_if(export_kinds().begin(), export_kinds().end(),
                                 [&name](const ExportKind& one) { return one.name == name; });
  if (kind == export_kinds().end())
    throw bad_usage("usage.export", "there is no export '" + escape_untrusted(name) + "'",
                    std::string(flag), name_hint(name, names));
  if (equal == std::string_view::npos || equal + 1 == text.size())
    throw bad_usage("usage.export", "'" + escape_untrusted(text) + "' names no file",
                    std::string(flag), "write " + name + "=FILE");
  return {&*kind, std::string(text.substr(equal + 1))};
}

std::string export_report(const nlohmann::json& report, const ExportKind& kind) {
  return kind.make(report);
}

}  // namespace lathe
