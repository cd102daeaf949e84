// What the original and the compiled graph are both run on.
#pragma once

#include <memory>

#include "calibration/data_set.h"
#include "console.h"
#include "ir/model.h"
#include "options.h"
#include "run/sample_runner.h"

namespace lathe {

struct VerificationInputs {
  SampleSource source;
  std::shared_ptr<const DataSet> data;  // what `source` refers to; none with seeded inputs
};

/// --verify's data, or seeded inputs: zeros, large values (100 standard deviations), random ones,
/// batch 2 too where the batch is free. With --float16 the large ones are 2 standard deviations:
/// inputs that far from all that a network was trained for leave float16's 65504 inside it, so they
/// would measure the range of the type and not the conversion; what real and random inputs make too
/// large is kept in float32 (heavy/search_float16.h). Inputs that the original itself refuses are
/// left out; throws Error (exit 3) when none is left.
VerificationInputs verification_inputs(const CompileOptions& options, const Model& original,
                                       Console& console);

/// At most `count` of the samples: the first ones where state is carried, else spread from the last
/// backwards. Refers to `source`.
SampleSource some_of(const SampleSource& source, size_t count);

}  // namespace lathe
