#include "heavy/prune/output_noise.h"

#include <vector>

#include "heavy/model_data.h"
#include "layers/layer_outputs.h"
#include "os/signals.h"
#include "run/compare.h"

namespace lathe {

double output_noise(const Graph& dense, const Graph& pruned, const DataSet& data, int threads) {
  SampleSource source = sample_source(data);
  std::vector<size_t> held;
  for (size_t i = 0; i < source.count; ++i)
    if (is_held_out(i)) held.push_back(i);
  source.count = held.size();
  source.sample = [&held, all = source.sample](size_t i) { return all(held[i]); };
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
