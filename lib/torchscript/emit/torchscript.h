// TorchScript files from a Graph, and their execution. No torch/script.h here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "run/compare.h"
#include "run/interpreter.h"
#include "torchscript/emit/quantized_plan.h"

namespace at {
class Tensor;
}

namespace lathe {

/// How far an artifact's outputs may be from the interpreter's.
struct TorchScriptTolerance {
  /// max|a-b| / max|a| of each output.
  double relative = 1e-4;
  /// Instead, where quantized operators run: each rounds on its own, and two correct executions of
  /// one int8 network differ.
  std::optional<double> min_sqnr_db;
};

struct TorchScriptOptions {
  /// A lite-interpreter file (torch::jit::_load_for_mobile reads it), operators chosen for phones.
  bool mobile = false;
  /// One tensor per graph input, in order; the shapes and values that the graph is traced and
  /// checked on. Empty: seeded values, batch 1.
  std::vector<Tensor> example;
  /// Q/DQ nodes become LibTorch's quantized operators for this engine; nullopt: they become the
  /// float arithmetic that they mean. Nothing changes in a graph without them.
  std::optional<QuantizedEngine> engine;
  /// What the checks allow: max|a-b| / max|a|, and SQNR where quantized operators run.
  double tolerance = 1e-4;
  double min_sqnr_db = 20;
};

/// How one loaded artifact compares with the interpreter at one batch size.
struct TorchScriptCheck {
  int64_t batch = 1;
  std::vector<ValueError> outputs;  // in graph order
  /// "" when every output is within the tolerance, else which is not, or what failed.
  std::string failure;
};

struct TorchScriptArtifact {
  /// The whole file: the same graph and options give the same bytes.
  std::string bytes;
  /// Whether the artifact runs at one batch size only, and why.
  bool batch_fixed = false;
  std::string batch_reason;
  /// One loaded module keeps to the batch size of its first run, although the file holds for every
  /// size: what the kernels said when it was changed. "" when sizes may be mixed.
  std::string batch_per_load;
  /// What runs as quantized operators; no groups: none do.
  QuantizedPlan quantized;
  /// The sizes at which the loaded artifact was run, on other values than it was traced on. The
  /// first is the example's; it is the one that may have failed.
  std::vector<TorchScriptCheck> checks;
};

/// Traces the graph as the interpreter computes it, freezes the module and writes it; then loads
/// what was written and compares. The batch is free when the graph's is and two traces differ in
/// sizes only; then it is checked at two sizes. Throws Error: exit 3 naming op and node when the
/// graph cannot be expressed, exit 6 when LibTorch lacks what the target needs.
TorchScriptArtifact emit_torchscript(const Graph& graph, const TorchScriptOptions& options);

/// A TorchScript file made by lathe, ready to run. `run` keeps LibTorch's rules: the first two
/// executions specialize and are slower.
class TorchScriptProgram {
 public:
  /// Only for bytes that lathe wrote: TorchScript can run code while it loads. `engine`: what the
  /// artifact's quantized operators were made for. Throws Error: exit 3 when LibTorch does not take
  /// the bytes, exit 6 when it lacks the engine.
  TorchScriptProgram(std::string_view bytes, bool mobile,
                     std::optional<QuantizedEngine> engine = std::nullopt);
  ~TorchScriptProgram();
  TorchScriptProgram(TorchScriptProgram&&) noexcept;

  /// One tensor per graph input (of storage_type, see evaluate/evaluate.h), one per output. Throws
  /// Error (exit 3) when it cannot be computed.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs);

 private:
  struct Loaded;
  std::unique_ptr<Loaded> loaded_;
};

/// Runs program and interpreter on the same inputs and compares the outputs. Never throws for what
/// the program does: that is the check's failure. Throws Error (exit 3) as Interpreter::run does.
TorchScriptCheck check_torchscript(TorchScriptProgram& program, const Interpreter& reference,
                                   const std::vector<RuntimeValue>& inputs,
                                   const TorchScriptTolerance& allowed);

}  // namespace lathe
