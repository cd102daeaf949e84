#include "passes/pipeline.h"

#include <chrono>

#include "ir/verify.h"

namespace lathe {

Pipeline::Pipeline(Graph& graph, PipelineOptions options)
    : graph_(graph), options_(std::move(options)) {}

int Pipeline::run(std::string_view name, const std::function<int()>& step) {
  if (options_.check) options_.check();
  PipelineStep row;
  row.pass = std::string(name);
  row.skipped = options_.disabled.contains(row.pass);
  if (!row.skipped) {
    const auto start = std::chrono::steady_clock::now();
    row.changes = step();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    row.duration_ms = took.count();
    verify(graph_, name);
    if (row.changes > 0 && options_.dump) options_.dump(name, graph_);
  }
  steps_.push_back(row);
  return row.changes;
}

}  // namespace lathe
