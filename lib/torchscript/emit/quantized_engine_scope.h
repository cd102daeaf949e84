// Which of LibTorch's quantized engines the process uses.
#pragma once

#include "torchscript/emit/quantized_plan.h"

namespace lathe {

/// While it lives, LibTorch packs weights for, and computes with, `engine`: a setting of the whole
/// process. Throws Error (exit 6) when this LibTorch lacks the engine. Hold one while a
/// QuantizedNodes is made, traced, and its artifact saved, loaded or run: a loaded artifact packs
/// its weights anew for the engine that is set then.
class QuantizedEngineScope {
 public:
  explicit QuantizedEngineScope(QuantizedEngine engine);
  ~QuantizedEngineScope();
  QuantizedEngineScope(const QuantizedEngineScope&) = delete;
  QuantizedEngineScope& operator=(const QuantizedEngineScope&) = delete;

 private:
  int previous_;  // at::QEngine
};

}  // namespace lathe
