// One number for how near a quantized network's outputs are to the float network's.
#pragma once

#include "run/compare.h"

namespace lathe {

/// Mean SQNR of the outputs in dB, each within -120..120 (no noise at all: 120, NaN: -120).
double output_sqnr(const CompareResult& result);

}  // namespace lathe
