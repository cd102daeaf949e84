// How near forms of one float network come to it, on the same samples: that is run once.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "run/compare.h"

namespace lathe {

/// A network ready to run, by `workers` threads at once at most.
struct ReadyGraph {
  std::function<std::vector<RuntimeValue>(const std::vector<RuntimeValue>& inputs)> run;
  int workers = 1;
};

class OutputJudge {
 public:
  /// Makes ready what is judged; may throw Error where it cannot: then the interpreter runs it.
  using Prepare = std::function<ReadyGraph(const Graph&, const std::vector<RuntimeValue>& inputs)>;
  /// Which of the samples; empty: all.
  using Which = std::function<bool(size_t sample)>;

  /// By `samples` of a source that carries nothing on. Without `prepare` the interpreter runs what
  /// is judged.
  OutputJudge(const Graph& reference, std::vector<size_t> samples, SampleSource source,
              SampleRunOptions options, Prepare prepare = {});

  /// What the reference makes of a sample, from a run for another purpose; may be called from
  /// several threads at once. Other samples than the judge's are not kept.
  void keep(size_t sample, const std::vector<RuntimeValue>& inputs,
            const std::vector<RuntimeValue>& outputs);

  /// Errors at the outputs of `graph`, whose inputs and outputs are the reference's; no layers.
  /// Runs the reference on what was not kept. Errors as compare_graphs().
  CompareResult judge(const Graph& graph, const Which& which = {}) const;

 private:
  struct Kept {
    std::vector<RuntimeValue> inputs;
    std::vector<RuntimeValue> outputs;
  };
  void complete() const;

  Graph reference_;
  SampleSource source_;
  SampleRunOptions options_;
  Prepare prepare_;
  mutable std::map<size_t, Kept> kept_;  // all of the judge's samples
};

}  // namespace lathe
