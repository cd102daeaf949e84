// LibTorch's TorchScript executor as an engine: the file that `lathe compile --target torchscript`
// writes for a graph, loaded and run; or a TorchScript file as it is.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "names/engines.h"
#include "run/engine.h"
#include "torchscript/emit/torchscript.h"

namespace lathe {

class TorchScriptEngine : public Engine {
 public:
  /// Traces, freezes, writes and loads the graph; the artifact has been compared with the
  /// interpreter. Frozen only: `optimize_for_inference` gains on some networks and loses on others,
  /// so it is no default. Throws Error (exit 3) as emit_torchscript does, exit 4 when the artifact
  /// departs from the interpreter.
  TorchScriptEngine(const Graph& graph, const TorchScriptOptions& options);

  /// The bytes of a file that the user trusts: its code runs in this process. `arguments`: the
  /// positions of those graph inputs that its forward takes (its state is its own).
  TorchScriptEngine(std::string_view trusted_file, std::vector<size_t> arguments);
  ~TorchScriptEngine() override;

  std::string_view name() const override { return kTorchScriptEngine; }
  /// LibTorch profiles and specializes during the first two executions.
  void prepare(const std::vector<std::vector<Tensor>>& samples) override;
  void execute(size_t iteration) override;
  std::vector<RuntimeValue> run(const std::vector<RuntimeValue>& inputs) override;

  /// What was made of the graph; empty for a file.
  const TorchScriptArtifact& artifact() const { return artifact_; }

 private:
  TorchScriptArtifact artifact_;
  TorchScriptProgram program_;
  std::vector<size_t> arguments_;    // empty: all
  std::vector<DType> output_types_;  // of the graph's outputs; empty for a file
  std::vector<std::vector<at::Tensor>> samples_;
};

}  // namespace lathe
