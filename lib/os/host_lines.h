// Host facts as lines of text, for a process on another machine to tell.
#pragma once

#include <string>
#include <string_view>

#include "os/host.h"

namespace lathe {

/// One fact a line: its name, a tab, its value. What is not known has no line.
std::string host_lines(const HostFacts& host);

/// Adds what one line (without its end) says. Lines of other names and values that are none are
/// passed over; texts are escaped: they may come from anywhere.
void read_host_line(std::string_view line, HostFacts& host);

}  // namespace lathe
