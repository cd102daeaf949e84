#include "torchscript/emit/torchscript_engine.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "ir/error.h"

namespace lathe {
namespace {

TorchScriptArtifact verified_artifact(const Graph& graph, const TorchScriptOptions& options) {
  TorchScriptArtifact artifact = emit_torchscript(graph, options);
  const std::string& failure = artifact.checks.front().failure;
  if (!failure.empty())
    throw Error(ExitCode::kGateMissed, "torchscript.unverified",
                {"the TorchScript form computes something else: " + failure,
                 {},
                 "--engine interpreter runs the model itself"});
  return artifact;
}

}  // namespace

TorchScriptEngine::TorchScriptEngine(const Graph& graph, const TorchScriptOptions& options)
    : artifact_(verified_artifact(graph, options)),
      program_(artifact_.bytes, options.mobile,
               artifact_.quantized.groups.empty() ? std::nullopt : options.engine) {
  for (const ValueId id : graph.outputs()) output_types_.push_back(graph.value(id).type.dtype);
}

TorchScriptEngine::TorchScriptEngine(std::string_view trusted_file, std::vector<size_t> arguments)
    : program_(trusted_file, false), arguments_(std::move(arguments)) {}

TorchScriptEngine::~TorchScriptEngine() = default;

void TorchScriptEngine::prepare(const std::vector<std::vector<Tensor>>& samples) {
  if (samples.empty()) throw InternalError("TorchScriptEngine::prepare: no samples");
  samples_.clear();
  for (const std::vector<Tensor>& sample : samples) {
    std::vector<at::Tensor>& tensors = samples_.emplace_back();
    for (size_t i = 0; i < sample.size(); ++i)
      if (arguments_.empty() ||
          std::find(arguments_.begin(), arguments_.end(), i) != arguments_.end())
        tensors.push_back(to_runtime(sample[i]).tensor);
  }
}

void TorchScriptEngine::execute(size_t iteration) {
  if (samples_.empty()) throw InternalError("TorchScriptEngine::execute: nothing was prepared");
  program_.run(samples_[iteration % samples_.size()]);
}

std::vector<RuntimeValue> TorchScriptEngine::run(const std::vector<RuntimeValue>& inputs) {
  std::vector<at::Tensor> tensors;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (arguments_.empty() ||
        std::find(arguments_.begin(), arguments_.end(), i) != arguments_.end())
      tensors.push_back(inputs[i].tensor);
  std::vector<RuntimeValue> outputs;
  for (at::Tensor& tensor : program_.run(tensors)) {
    const size_t i = outputs.size();
    outputs.emplace_back(std::move(tensor),
                         i < output_types_.size() ? output_types_[i] : DType::kUndefined);
  }
  return outputs;
}

}  // namespace lathe
