// The fixed parts of the pages, as cmake/embed_text.cmake embeds them.
#pragma once

#include <string_view>

namespace lathe {

std::string_view page_base_style();     // page/base.css: of reports and traces
std::string_view report_page_style();   // page/page.css
std::string_view report_page_script();  // page/*.js: draws the sections from the element "data"

}  // namespace lathe
