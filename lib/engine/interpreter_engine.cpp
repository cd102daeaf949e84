#include "engine/interpreter_engine.h"

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
  interpreter_.run(samples_[iteration % samples_.size()]);
}

}  // namespace lathe
