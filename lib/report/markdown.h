// A report for people: verdict first, then short tables.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace lathe {

/// `report` is to_json(Report) or load_report(). Text from files is escaped: it can neither leave
/// its cell nor become HTML, a link or a mention.
std::string report_markdown(const nlohmann::json& report);

/// Escapes for one Markdown table cell; control characters as escape_untrusted writes them.
std::string markdown_cell(std::string_view text);

}  // namespace lathe
