// The one wrapper round every pass: skip by name, time, verify, record.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace lathe {

struct PipelineOptions {
  std::set<std::string> disabled;                            // names of passes to skip
  std::function<void(std::string_view, const Graph&)> dump;  // called after every pass that changed
  std::function<void()> check;                               // called before every pass; may throw
};

struct PipelineStep {
  std::string pass;
  int changes = 0;
  double duration_ms = 0;
  bool skipped = false;
};

class Pipeline {
 public:
  explicit Pipeline(Graph& graph, PipelineOptions options = {});

  /// Runs `step` unless `name` is disabled; afterwards the graph is verified. Returns the number
  /// of changes.
  int run(std::string_view name, const std::function<int()>& step);

  const std::vector<PipelineStep>& steps() const { return steps_; }

 private:
  Graph& graph_;
  PipelineOptions options_;
  std::vector<PipelineStep> steps_;
};

}  // namespace lathe
