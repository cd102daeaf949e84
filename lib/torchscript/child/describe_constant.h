// LibTorch's types and values as plain data.
#pragma once

#include <torch/script.h>

#include <string>

#include "torchscript/read/module_description.h"

namespace lathe {

TorchType describe_type(const c10::Type& type);

/// Counts what is described, because values that share parts may be a tree without end.
class DescriptionBudget {
 public:
  /// Throws Error (exit 8) after half a million calls.
  void charge();

 private:
  int64_t left_ = 500'000;
};

/// Objects become kObject with `path` as text; their attributes are described elsewhere. Throws
/// Error (exit 3) that names `where` for values that a file may hold and the description cannot.
TorchConstant describe_constant(const c10::IValue& value, const std::string& path,
                                const std::string& where, DescriptionBudget& budget);

}  // namespace lathe
