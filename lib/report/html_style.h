// The style sheet of the report page.
#pragma once

namespace lathe {

/// Light and dark by prefers-color-scheme, one column on a phone; text has a contrast of 4.5 : 1
/// and more against what is behind it, in both.
const char* html_style();

}  // namespace lathe
