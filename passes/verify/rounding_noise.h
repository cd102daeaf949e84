// What rounding alone changes in the outputs of a network, as a measure of differences.
//
// Two correct executions of an integer network round some values another way, and each such step
// makes later ones differ: in the end by as much as rounding itself changes the output. Float
// networks sum in another order; some make thousands of times more of that on some inputs.
#pragma once

#include <string>
#include <vector>

#include "run/compare.h"
#include "run/interpreter.h"
#include "run/sample_runner.h"

namespace lathe {

/// Some value is rounded to steps.
bool is_quantized(const Graph& graph);

/// By how much rounding changes each output: of quantized networks the rounding to their steps, of
/// others float32's, tried by moving every value by 2^-21. Throws Error (exit 130) when
/// interrupted.
std::vector<ErrorSums> rounding_noise(const Interpreter& graph, const SampleSource& source);

/// By how much more two executions may differ: both round, and float32's noise was tried once.
double rounding_room_db(const Graph& graph);

/// Those samples on which rounding alone leaves at least 20 dB of every output: only they tell a
/// right execution from a wrong one. All of them where state is carried.
SampleSource steady_samples(const Interpreter& graph, const SampleSource& source);

/// Empty: the difference is no more than `rounding` and `room_db`. `failure`: what missed_bound
/// says of the usual bound.
std::string beyond_rounding(std::string failure, const ValueError& output,
                            const ErrorSums& rounding, double room_db);

}  // namespace lathe
