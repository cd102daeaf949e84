// Workflow commands for GitHub Actions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace lathe {

/// "::error title=…::…" for missed gates and for a failed run, "::warning …" for undecided gates;
/// the worst first, one line each, 10 at most (what one step may show). A run that has nothing to
/// say gives an empty text.
std::string to_github_annotations(const nlohmann::json& report);

/// Markdown for $GITHUB_STEP_SUMMARY: report_markdown() below 1 MiB, with the headline.
std::string to_github_summary(const nlohmann::json& report);

/// Escapes of workflow commands: % CR LF, in properties also : and ,
std::string annotation_message(std::string_view text);
std::string annotation_property(std::string_view text);

}  // namespace lathe
