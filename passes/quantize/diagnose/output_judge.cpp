#include "quantize/diagnose/output_judge.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "ir/error.h"

namespace lathe {
namespace {

ReadyGraph interpreted(const Graph& graph, const SampleRunOptions& options) {
  const auto interpreter = std::make_shared<Interpreter>(graph);
  RunOptions run;
  run.check = options.check;
  return {[interpreter, run](const std::vector<RuntimeValue>& inputs) {
            return interpreter->run(inputs, run);
          },
          options.threads};
}

}  // namespace

OutputJudge::OutputJudge(const Graph& reference, const SampleSource& samples,
                         SampleRunOptions options, Prepare prepare)
    : options_(std::move(options)),
      prepare_(std::move(prepare)),
      inputs_(samples.count),
      wanted_(samples.count) {
  named_ = output_errors(reference);
  SampleSource kept = samples;
  kept.sample = [&](size_t sample) { return inputs_[sample] = samples.sample(sample); };
  const ReadyGraph ready = interpreted(reference, options_);
  for_each_sample(reference, kept, options_,
                  [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
                    return wanted_[sample] = ready.run(inputs);
                  });
}

CompareResult OutputJudge::judge(const Graph& graph) const {
  const ReadyGraph ready = prepare_ ? prepare_(graph) : interpreted(graph, options_);
  SampleRunOptions options = options_;
  options.threads = std::min(options.threads, ready.workers);
  SampleSource source;
  source.count = inputs_.size();
  source.sample = [&](size_t sample) { return inputs_[sample]; };
  std::vector<std::vector<ErrorSums>> sums(source.count);
  for_each_sample(graph, source, options,
                  [&](size_t sample, size_t, const std::vector<RuntimeValue>& inputs) {
                    std::vector<RuntimeValue> got = ready.run(inputs);
                    sums[sample] = output_sums(wanted_[sample], got);
                    return got;
                  });
  CompareResult result;
  result.samples = source.count;
  result.outputs = named_;
  for (const std::vector<ErrorSums>& of_sample : sums)
    for (size_t i = 0; i < of_sample.size(); ++i) result.outputs[i].sums.merge(of_sample[i]);
  return result;
}

}  // namespace lathe
