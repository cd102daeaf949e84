// The interpreter as an engine: a model with inputs that are converted beforehand, so that an
// execution costs the model and nothing else.
#pragma once

#include <cstddef>
#include <vector>

#include "ir/tensor.h"
#include "run/interpreter.h"

namespace lathe {

class InterpreterEngine {
 public:
  /// Throws Error (exit 3) that lists the ops that cannot be run.
  explicit InterpreterEngine(const Graph& graph) : interpreter_(graph) {}

  const Interpreter& interpreter() const { return interpreter_; }

  /// The inputs that executions cycle through: at least one sample of one tensor per graph input,
  /// in the graph's order. Shares the tensors' bytes.
  void prepare(const std::vector<std::vector<Tensor>>& samples);

  /// Runs sample number `iteration` modulo their count; the outputs are dropped. Throws Error as
  /// Interpreter::run does.
  void execute(size_t iteration) const;

 private:
  Interpreter interpreter_;
  std::vector<std::vector<RuntimeValue>> samples_;
};

}  // namespace lathe
