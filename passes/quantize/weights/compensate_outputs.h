// The loop of round_compensated(), for the vector units.
#pragma once

#include <cstdint>

namespace lathe {

/// Outputs that go through it side by side.
constexpr int64_t kCompensatedOutputs = 16;

/// Row i of `factor` [inputs, inputs] holds how an error in input i is spread over those behind it.
/// `weights` and `scales`: [inputs, kCompensatedOutputs]; `weights` become multiples of the scales,
/// half to even, of qmin..qmax.
void compensate_outputs(const double* factor, int64_t inputs, const double* scales, double qmin,
                        double qmax, double* weights);

}  // namespace lathe
