// The interpreter as an engine: a model with inputs that are converted beforehand, so that an
// execution costs the model and nothing else.
#pragma once

#include "names/engines.h"
#include "run/engine.h"
#include "run/interpreter.h"

namespace lathe {

class InterpreterEngine : public Engine {
 public:
  /// Throws Error (exit 3) that lists the ops that cannot be run.
  explicit InterpreterEngine(const Graph& graph) : interpreter_(graph) {}

  std::string_view name() const override { return kInterpreterEngine; }
  void prepare(const std::vector<std::vector<Tensor>>& samples) override;
  void execute(size_t iteration) override;
  std::vector<RuntimeValue> run(const std::vector<RuntimeValue>& inputs) override;
  bool observe(NodeObserver observer) override;

 private:
  Interpreter interpreter_;
  RunOptions options_;
  std::vector<std::vector<RuntimeValue>> samples_;
};

}  // namespace lathe
