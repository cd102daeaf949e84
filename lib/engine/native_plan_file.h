// Native plans of a graph as files, and the execution of such files with the interpreter for their
// islands.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "artifact/plan_file.h"
#include "engine/native_engine.h"

namespace lathe {

/// Lowers the graph for batch 1 and, where its inputs' first dimensions are free, for the batches
/// after it: the file then serves every batch whose plan differs in numbers alone.
/// `batch_fixed`, `reason`: whether it does not, and why. Throws Error (exit 3) for an input whose
/// other dimensions are unknown.
struct NativePlanFile {
  PlanFile file;
  bool batch_fixed = false;
  std::string reason;
};
NativePlanFile make_plan_file(const Graph& graph, const SpecializeGraph& specialize);

/// A plan file, ready to run at any batch that it serves.
class PlanFileProgram {
 public:
  explicit PlanFileProgram(PlanFile file) : file_(std::move(file)) {}
  /// One tensor per input, in order; one per output. Throws Error (exit 3) for shapes that the file
  /// does not serve.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs);

 private:
  struct Prepared;
  PlanFile file_;
  std::map<int64_t, std::shared_ptr<Prepared>> prepared_;  // by batch
};

}  // namespace lathe
