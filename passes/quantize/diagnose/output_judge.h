// How near forms of one float network come to it, on the same samples: that is run once.
#pragma once

#include <functional>
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
  /// Makes ready what is judged; may throw Error where it cannot.
  using Prepare = std::function<ReadyGraph(const Graph&)>;

  /// Runs `reference` over the samples, which carry nothing on, and keeps them with its outputs.
  /// Without `prepare` the interpreter runs what is judged. Errors as compare_graphs().
  OutputJudge(const Graph& reference, const SampleSource& samples, SampleRunOptions options,
              Prepare prepare = {});

  /// Errors at the outputs of `graph`, whose inputs and outputs are the reference's; no layers.
  CompareResult judge(const Graph& graph) const;

  size_t samples() const { return inputs_.size(); }

 private:
  SampleRunOptions options_;
  Prepare prepare_;
  std::vector<ValueError> named_;  // the outputs, without sums
  std::vector<std::vector<Tensor>> inputs_;
  std::vector<std::vector<RuntimeValue>> wanted_;
};

}  // namespace lathe
