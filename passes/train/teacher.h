// A network whose outputs another one learns.
#pragma once

#include <functional>
#include <vector>

#include "run/interpreter.h"
#include "train/batch.h"

namespace lathe {

/// A value that is compared, and where its batch and classes are.
struct TaughtValue {
  ValueId value;
  int64_t batch_axis = 0;
  int64_t class_axis = -1;  // -1: numbers
  /// Order of the value's axes in which the two above count, as of Transpose; empty: its own.
  std::vector<int64_t> order = {};
};

/// `output` with the batch on axis 0 and the classes on axis 1; a scalar becomes a vector.
at::Tensor batch_first(const at::Tensor& output, const TaughtValue& place);

class Teacher {
 public:
  /// `input_axes` as in TrainingData. Not `free`: samples are run one by one.
  Teacher(const Graph& graph, std::vector<TaughtValue> values, bool free,
          std::vector<int64_t> input_axes);

  /// One tensor per value, batch first, for `samples` samples that are joined in `inputs`. Without
  /// autograd.
  std::vector<at::Tensor> outputs(const std::vector<at::Tensor>& inputs, int64_t samples,
                                  const std::function<void()>& check) const;

 private:
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs,
                              const std::function<void()>& check) const;

  std::vector<TaughtValue> values_;
  bool free_;
  std::vector<int64_t> input_axes_;
  Interpreter interpreter_;
};

}  // namespace lathe
