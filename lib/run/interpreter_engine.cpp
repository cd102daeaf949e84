#include "run/interpreter_engine.h"

#include <utility>

#include "ir/error.h"

namespace lathe {

void InterpreterEngine::prepare(const std::vector<std::vector<Tensor>>& samples) {
  if (samples.empty()) throw InternalError("InterpreterEngine::prepare: no samples");
  samples_.clear();
  for (const std::vector<Tensor>& sample : samples) {
    std::vector<RuntimeValue>& values = samples_.emplace_back();
    for (const Tensor& tensor : sample) values.push_back(to_runtime(tensor));
  }
}

void InterpreterEngine::execute(size_t iteration) {
  if (samples_.empty()) throw InternalError("InterpreterEngine::execute: nothing was prepared");
  interpreter_.run(samples_[iteration % samples_.size()], options_);
}

std::vector<RuntimeValue> InterpreterEngine::run(const std::vector<RuntimeValue>& inputs) {
  return interpreter_.run(inputs);
}

bool InterpreterEngine::observe(NodeObserver observer) {
  options_.on_node = std::move(observer);
  return true;
}

}  // namespace lathe
