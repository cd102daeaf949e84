// What `lathe bench` executes. Engines run a prepared model and nothing else.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "ir/tensor.h"

namespace lathe {

class Engine {
 public:
  virtual ~Engine() = default;

  /// As in reports and --engine.
  virtual std::string_view name() const = 0;

  /// The inputs that executions cycle through, converted beforehand: at least one sample of one
  /// tensor per graph input, in the graph's order. Shares the tensors' bytes.
  virtual void prepare(const std::vector<std::vector<Tensor>>& samples) = 0;

  /// Runs sample number `iteration` modulo their count; the outputs are dropped. Throws Error
  /// (exit 3) when the model cannot be computed on it, exit 8 when memory runs out.
  virtual void execute(size_t iteration) = 0;
};

}  // namespace lathe
