// The fixed parts of the page.
#pragma once

#include <string_view>

namespace lathe {

/// CSS for light and dark, wide and narrow.
std::string_view trace_page_style();
/// Draws the events of the element "data" on the canvas "timeline".
std::string_view trace_page_script();

}  // namespace lathe
