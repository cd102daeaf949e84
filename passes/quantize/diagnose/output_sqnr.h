// How near a quantized network's outputs are to the float network's.
#pragma once

#include "run/compare.h"

namespace lathe {

/// Mean SQNR of the outputs in dB, each within -120..120 (no noise at all: 120, NaN: -120).
double output_sqnr(const CompareResult& result);

/// Whether `after` is better than `before`: the mean rises, and no output falls by more than a
/// quarter of a dB, so that none pays for another.
bool improves_outputs(const CompareResult& before, const CompareResult& after);

}  // namespace lathe
