// What `lathe compile` makes for each target (names/targets.h).
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "artifact/plan_file.h"
#include "c99/c99.h"
#include "console.h"
#include "heavy/model_artifact.h"
#include "ir/model.h"
#include "lower/lower_graph.h"
#include "names/targets.h"
#include "onnx/write_model.h"
#include "options.h"
#include "profiles/profile.h"
#include "report/report.h"
#include "torchscript/emit/quantized_plan.h"

namespace at {
class Tensor;
}

namespace lathe {

/// An artifact in memory, and a way to execute it as its consumer will.
struct CompiledArtifact {
  WrittenModel written;  // bytes, data file; opset and IR version of ONNX files only
  /// What `onnx` is read back as; other targets execute the artifact itself through `run`, with
  /// tensors of storage_type (see evaluate/evaluate.h).
  std::optional<Model> reread;
  /// One tensor per graph input, in order; one per graph output. Empty for `onnx`.
  std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)> run;
  /// What `run` is judged by instead of the relative error, where integer kernels round on their
  /// own.
  std::optional<double> min_sqnr_db;
  /// `run` takes the shapes of its first call only.
  bool one_shape = false;
  std::shared_ptr<const PlanFile> plan;  // of target native
  std::vector<SideFile> beside;
  std::optional<C99Code> c_code;  // of target c99
  /// What the manifest says besides: batch_fixed, quantized ops, ….
  nlohmann::json facts = nlohmann::json::object();
  /// What the screen says besides.
  std::string text;
};

/// Throws Error: exit 3 naming op and node for what the target cannot express.
CompiledArtifact emit_artifact(const Target& target, const Model& model, const Profile& profile,
                               const CompileOptions& options, Console& console);

/// What the profile allows the native engine.
LowerOptions lower_options(const Profile& profile);

/// How the profile wants a plan to be served.
PlanExecution execution_of(const Profile& profile, const NativePlan& plan);

/// LibTorch's integer kernels for the device; nothing changes in float graphs.
QuantizedEngine quantized_engine(const Profile& profile);

}  // namespace lathe
