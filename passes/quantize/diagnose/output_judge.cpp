#include "quantize/diagnose/output_judge.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "ir/error.h"
#include "layers/run_tasks.h"

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

OutputJudge::OutputJudge(const Graph& reference, std::vector<size_t> samples, SampleSource source,
                         SampleRunOptions options, Prepare prepare)
    : reference_(reference),
      source_(std::move(source)),
      options_(std::move(options)),
      prepare_(std::move(prepare)) {
  for (const size_t sample : samples) kept_[sample];
}

void OutputJudge::keep(size_t sample, const std::vector<RuntimeValue>& inputs,
                       const std::vector<RuntimeValue>& outputs) {
  if (const auto it = kept_.find(sample); it != kept_.end()) it->second = {inputs, outputs};
}

void OutputJudge::complete() const {
  std::vector<size_t> missing;
  for (const auto& [sample, kept] : kept_)
    if (kept.outputs.empty()) missing.push_back(sample);
  if (missing.empty()) return;
  const ReadyGraph ready = interpreted(reference_, options_);
  SampleSource source;
  source.count = missing.size();
  source.sample = [&](size_t i) { return source_.sample(missing[i]); };
  for_each_sample(reference_, source, options_,
                  [&](size_t i, size_t, const std::vector<RuntimeValue>& inputs) {
                    Kept& kept = kept_.at(missing[i]);
                    kept = {inputs, ready.run(inputs)};
                    return kept.outputs;
                  });
}

CompareResult OutputJudge::judge(const Graph& graph, const Which& which) const {
  complete();
  std::vector<const Kept*> chosen;
  for (const auto& [sample, kept] : kept_)
    if (!which || which(sample)) chosen.push_back(&kept);
  CompareResult result;
  result.samples = chosen.size();
  result.outputs = output_errors(reference_);
  if (chosen.empty()) return result;
  ReadyGraph ready;
  try {
    if (prepare_) ready = prepare_(graph, chosen.front()->inputs);
  } catch (const Error&) {
    // There is no plan for it.
  }
  if (!ready.run) ready = interpreted(graph, options_);
  std::vector<std::vector<ErrorSums>> sums(chosen.size());
  std::vector<std::function<void()>> tasks;
  for (size_t i = 0; i < chosen.size(); ++i)
    tasks.emplace_back([&, i] {
      if (options_.check) options_.check();
      sums[i] = output_sums(chosen[i]->outputs, ready.run(chosen[i]->inputs));
    });
  run_tasks(tasks, std::min(options_.threads, ready.workers));
  for (const std::vector<ErrorSums>& of_sample : sums)
    for (size_t i = 0; i < of_sample.size(); ++i) result.outputs[i].sums.merge(of_sample[i]);
  return result;
}

}  // namespace lathe
