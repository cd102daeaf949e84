// Measured peaks as lines of text, for a process on another machine to tell.
#pragma once

#include <string>
#include <string_view>

#include "peaks/measured_peaks.h"

namespace lathe {

/// One cell's numbers a line, tabs between.
std::string peak_lines(const MeasuredPeaks& peaks);

/// Adds what one line (without its end) says. Lines that are none, and numbers that no machine
/// reaches, are passed over; texts are escaped.
void read_peak_line(std::string_view line, MeasuredPeaks& peaks);

}  // namespace lathe
