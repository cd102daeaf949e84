#include "commands/quantize/calibration_samples.h"

#include "heavy/make_engine.h"
#include "heavy/model_data.h"
#include "layers/held_samples.h"
#include "ops/op_row.h"
#include "os/signals.h"

namespace lathe {
namespace {

constexpr size_t kJudged = 24;
constexpr size_t kJudgedOfLarge = 8;
constexpr int64_t kLargeMacs = 5'000'000'000;

size_t judged_count(const Graph& graph) {
  return count_macs(graph).macs > kLargeMacs ? kJudgedOfLarge : kJudged;
}

// lathe's own engine: integers are many times faster there than in the interpreter.
ReadyGraph ready_native(const Graph& graph, const std::vector<Tensor>& sample) {
  const std::shared_ptr<Engine> engine = make_native_engine(graph, Profile());
  engine->prepare({sample});
  return {[engine](const std::vector<RuntimeValue>& inputs) {
            throw_if_interrupted();
            return engine->run(inputs);
          },
          1};
}

}  // namespace

CalibrationSamples::CalibrationSamples(const QuantizeJob& job, int64_t count)
    : data_(job_data(job, job.options.data, count)),
      given_(sample_source(data_)),
      carried_(record_carried(job.model.graph, given_, throw_if_interrupted)),
      all_(without_carry(given_, carried_)) {
  const Graph& graph = job.model.graph;
  const SampleSource judged = judged_samples(all_, judged_count(graph));
  const SampleRunOptions run =
      sample_run(job.threads, job.console, "running what judges", judged.count);
  judge_ = std::make_unique<OutputJudge>(
      graph, judged, run,
      [first = judged.sample(0)](const Graph& candidate) { return ready_native(candidate, first); });
}

}  // namespace lathe
