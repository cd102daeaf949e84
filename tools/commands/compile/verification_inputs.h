// What the original and the compiled graph are both run on, and how near they must be.
#pragma once

#include <memory>

#include "calibration/data_set.h"
#include "console.h"
#include "ir/model.h"
#include "options.h"
#include "run/sample_runner.h"
#include "verify/verification_bound.h"

namespace lathe {

struct VerificationInputs {
  SampleSource source;
  std::shared_ptr<const DataSet> data;  // what `source` refers to; none with seeded inputs
};

/// --verify's data, or seeded inputs: zeros, large values (100 standard deviations), random ones,
/// batch 2 too where the batch is free. With --float16 the large ones are 2 standard deviations:
/// inputs that far from all that a network was trained for leave float16's 65504 inside it, so they
/// would measure the range of the type and not the conversion; what real and random inputs make too
/// large is kept in float32 (verify/search_float16.h). Inputs that the original itself refuses are
/// left out; throws Error (exit 3) when none is left.
VerificationInputs verification_inputs(const CompileOptions& options, const Model& original,
                                       Console& console);

/// What --tolerance or, by default, the graph's precision allows: max|a-b|/max|a| of 1e-6 for
/// float32, 1e-4 where a pass has changed the order of sums (`arithmetic`), 5e-3 with float16, 2e-2
/// where values are quantized (one step).
///
/// --float16 on seeded inputs is judged by an SQNR of 30 dB instead (noise of 3 % of the output's
/// root mean square). Rounding to 11 bits leaves about 75 dB behind one layer; noise gathers over
/// the layers, and on noise a trained network has neither margins nor an output range of the usual
/// size: healthy networks come out between 30 and 75 dB, a wrong conversion (overflow, a lost
/// weight, an exchanged axis) below 20. The largest of some hundred thousand differences on noise
/// says little about data: only --verify DATA claims the 5e-3.
VerificationBound verification_bound(const CompileOptions& options, const Graph& graph,
                                     bool arithmetic);

}  // namespace lathe
