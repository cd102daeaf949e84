#include "heavy/verification_inputs.h"

#include <algorithm>

#include "heavy/model_data.h"
#include "heavy/seeded_inputs.h"
#include "run/interpreter.h"

namespace lathe {

VerificationInputs verification_inputs(const CompileOptions& options, const Model& original,
                                       Console& console) {
  VerificationInputs inputs;
  if (options.verify == "random") {
    const auto sets = std::make_shared<std::vector<std::vector<Tensor>>>(seeded_inputs(
        Interpreter(original.graph), options.float16 ? 2.0 : 100.0, options.common.seed));
    inputs.source.count = sets->size();
    inputs.source.sample = [sets](size_t i) { return (*sets)[i]; };
  } else {
    inputs.data = std::make_shared<const DataSet>(
        open_data_for(options.verify, original, 0, options.common, console));
    inputs.source = sample_source(*inputs.data);
  }
  return inputs;
}

SampleSource some_of(const SampleSource& source, size_t count) {
  SampleSource some = source;
  some.count = std::min(source.count, count);
  if (some.count == source.count || !source.carry.empty()) return some;
  const size_t stride = source.count / some.count;
  some.sample = [&source, stride](size_t i) {
    return source.sample(source.count - 1 - i * stride);
  };
  return some;
}

}  // namespace lathe
