#include "prune/output_noise.h"

#include "calibration/sample_source.h"
#include "layers/held_samples.h"
#include "os/signals.h"
#include "run/compare.h"

namespace lathe {

double output_noise(const Graph& dense, const Graph& pruned, const DataSet& data, int threads) {
  const SampleSource source = judged_samples(sample_source(data), data.size());
  CompareOptions options;
  options.run.threads = threads;
  options.run.check = throw_if_interrupted;
  options.layers = false;
  double noise = 0;
  for (const ValueError& output :
       compare_graphs(Interpreter(dense), Interpreter(pruned), source, options).outputs)
    noise += output.sums.signal > 0 ? output.sums.noise / output.sums.signal : 0;
  return noise;
}

}  // namespace lathe
