// Gates as JUnit XML: what GitLab, Jenkins, Azure and others show as tests.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace lathe {

/// One suite; a gate is a testcase whose classname is "model/case". fail: <failure> with one
/// message; inconclusive and skipped: <skipped>; a run that ended with an error: one more testcase
/// with <error>. A run without gates has one testcase, named after the subcommand. The shape
/// satisfies both schemas in use: Apache Ant's (order and required attributes) and Jenkins' xunit.
std::string to_junit(const nlohmann::json& report);

/// Text and attribute values of XML 1.0; characters that XML cannot carry become U+FFFD.
std::string xml_escape(std::string_view text);

}  // namespace lathe
