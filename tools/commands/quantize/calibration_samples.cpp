#include "commands/quantize/calibration_samples.h"

#include <algorithm>
#include <cmath>

#include "commands/quantize/judge_calibration.h"
#include "heavy/make_engine.h"
#include "heavy/model_data.h"
#include "layers/held_samples.h"
#include "ops/op_row.h"
#include "os/signals.h"
#include "quantize/weights/round_layers.h"

namespace lathe {
namespace {

constexpr size_t kJudged = 48;
constexpr size_t kJudgedOfLarge = 12;
constexpr int64_t kRoundedOfLarge = 16;
constexpr int64_t kLargeMacs = 5'000'000'000;
constexpr int64_t kMiddleMacs = 1'500'000'000;
constexpr size_t kRoundedOfGood = 32;
constexpr int64_t kMostBytes = int64_t{256} << 20;  // of what the judge keeps

int64_t bytes_of(const Graph& graph, const std::vector<ValueId>& ids) {
  int64_t bytes = 0;
  for (const ValueId id : ids)
    if (const auto shape = static_shape(graph.value(id).type.dims.value_or(Dims())))
      bytes += element_count(*shape) * dtype_bits(graph.value(id).type.dtype) / 8;
  return bytes;
}

size_t judged_count(const Graph& graph) {
  const size_t count = count_macs(graph).macs > kLargeMacs ? kJudgedOfLarge : kJudged;
  const int64_t bytes = bytes_of(graph, graph.inputs()) + bytes_of(graph, graph.outputs());
  return std::min<size_t>(
      count, static_cast<size_t>(std::max<int64_t>(4, kMostBytes / std::max<int64_t>(1, bytes))));
}

// Rounding runs its samples through the network a dozen times. In a large one each of them can
// bring every layer many rows.
size_t rounded_count(const Graph& graph, size_t count) {
  count = std::min(count, kManySamples);
  if (count_macs(graph).macs <= kMiddleMacs) return count;
  int64_t needed = kRoundedOfLarge;
  for (const NodeId id : graph.node_ids()) {
    const auto layer = roundable_layer(graph, id);
    if (!layer) continue;
    double rows = 1.0 / static_cast<double>(layer->channels());
    for (const Dim& dim : *graph.value(graph.node(id).output(0)).type.dims)
      if (dim.known()) rows *= static_cast<double>(dim.size);  // a free one is the batch
    const double samples = static_cast<double>(RoundingOptions().rows) / std::max(rows, 1.0);
    needed = std::max(needed, static_cast<int64_t>(std::ceil(samples)));
  }
  return std::min(count, static_cast<size_t>(needed));
}

// lathe's own engine: integers are many times faster there than in the interpreter.
ReadyGraph ready_native(const Graph& graph, const std::vector<RuntimeValue>& inputs) {
  const std::shared_ptr<Engine> engine = make_native_engine(graph, Profile());
  std::vector<Tensor> sample;
  for (const RuntimeValue& input : inputs) sample.push_back(to_tensor(input));
  engine->prepare({sample});  // by all threads
  return {[engine](const std::vector<RuntimeValue>& values) { return engine->run(values); }, 1};
}

}  // namespace

CalibrationSamples::CalibrationSamples(const QuantizeJob& job, int64_t count)
    : data_(job_data(job, job.options.data, count)),
      given_(sample_source(data_)),
      carried_(record_carried(job.model.graph, given_, throw_if_interrupted)),
      all_(without_carry(given_, carried_)) {
  const Graph& graph = job.model.graph;
  rounded_count_ = rounded_count(graph, all_.count);
  are_alike_ = all_alike(all_);
  SampleRunOptions run;
  run.threads = job.threads;
  run.check = throw_if_interrupted;
  judge_ = std::make_unique<OutputJudge>(graph, judging_samples(all_.count, judged_count(graph)),
                                         all_, run, ready_native);
}

SampleSource CalibrationSamples::rounded(double sqnr_db) const {
  SampleSource first = all_;
  first.count = rounded_count_;
  if (sqnr_db >= kGoodOutputsDb) first.count = std::min(first.count, kRoundedOfGood);
  return first;
}

CompareResult CalibrationSamples::judge_rounding(const Graph& graph) const {
  const size_t count = all_.count;
  if (!is_any_held_out(count)) return judge_->judge(graph);
  // Nothing is fitted to those behind the rounded ones either: a dozen judges are chance.
  return judge_->judge(graph, [&](size_t sample) {
    return is_held_out(sample, count) || sample >= rounded_count_;
  });
}

}  // namespace lathe
