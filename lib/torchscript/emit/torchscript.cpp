#include "torchscript/emit/torchscript.h"

#include <fmt/format.h>
#include <torch/csrc/jit/mobile/import.h>
#include <torch/csrc/jit/passes/tensorexpr_fuser.h>
#include <torch/csrc/jit/passes/xnnpack_rewrite.h>
#include <torch/script.h>

#include <sstream>

#include "ir/error.h"
#include "run/foreign_errors.h"
#include "torchscript/emit/example_inputs.h"
#include "torchscript/emit/free_batch.h"
#include "torchscript/emit/quantized_engine_scope.h"
#include "torchscript/emit/quantized_nodes.h"
#include "torchscript/emit/trace_module.h"
#include "torchscript/read/input_notes.h"

namespace lathe {
namespace {

namespace jit = torch::jit;

// Sizes of the two traces; 1 is left for the check, because it is where shapes are special.
constexpr int64_t kTracedBatch = 2;
constexpr int64_t kSecondBatch = 3;

// The inputs as the file will take them; `example`: at these shapes only.
std::string notes_of(const Graph& graph, const std::vector<RuntimeValue>* example) {
  std::vector<InputNote> notes;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const ValueType& type = graph.value(graph.inputs()[i]).type;
    const Dims dims = example != nullptr ? dims_of((*example)[i].tensor->sizes().vec())
                                         : type.dims.value_or(Dims{});
    notes.push_back({type.dtype, dims});
  }
  return input_notes_text(notes);
}

std::string write(const jit::Module& module, bool mobile, const std::string& notes) {
  std::ostringstream out;
  const jit::ExtraFilesMap extra{{std::string(kInputNotes), notes}};
  try {
    if (mobile)
      jit::optimizeForMobile(module)._save_for_mobile(out, extra);
    else
      jit::freeze(module).save(out, extra);
  } catch (const c10::Error& error) {
    if (std::string_view(error.what_without_backtrace()).find("XNNPACK is not enabled") !=
        std::string_view::npos)
      throw bad_environment("torchscript.mobile", "this LibTorch was built without XNNPACK", {},
                            "--target torchscript needs none");
    rethrow_foreign("writing TorchScript");
  } catch (...) {
    rethrow_foreign("writing TorchScript");
  }
  return std::move(out).str();
}

// LibTorch puts a traceback through the module's code in front of what went wrong.
[[noreturn]] void rethrow_from_module(const std::string& place) {
  try {
    throw;
  } catch (const std::exception& error) {
    const std::string text = error.what();
    const size_t cause = text.rfind("RuntimeError: ");
    const bool traceback = text.starts_with("The following operation failed");
    if (!traceback || cause == std::string::npos) rethrow_foreign(place);
    const std::string line = text.substr(cause + 14, text.find('\n', cause) - cause - 14);
    throw bad_input("run.failed", escape_untrusted(line, 300), place);
  }
}

std::string failure_of(const ValueError& output, const TorchScriptTolerance& allowed) {
  const std::string name = escape_untrusted(output.value);
  const ErrorSums& sums = output.sums;
  if (sums.unequal_non_finite > 0)
    return fmt::format("output {} has NaN or infinity in other places", name);
  if (sums.relative_max_error() <= allowed.relative) return {};
  if (!allowed.min_sqnr_db)
    return fmt::format("output {} differs by {:.2e} (allowed {:.1e})", name,
                       sums.relative_max_error(), allowed.relative);
  if (sums.sqnr_db() >= *allowed.min_sqnr_db) return {};
  return fmt::format("output {} has {:.1f} dB SQNR (wanted {:.1f})", name, sums.sqnr_db(),
                     *allowed.min_sqnr_db);
}

std::string text_of(const Error& error) {
  const ErrorText& text = error.text();
  return text.where.empty() ? text.message : text.where + ": " + text.message;
}

// The record that holds for every batch size, or why there is none.
struct FreeRecord {
  std::shared_ptr<jit::Graph> graph;
  std::string reason;
};

FreeRecord trace_free_batch(const Graph& graph, const GraphTracer& tracer,
                            const TorchScriptOptions& options, const FreeAxis& axis) {
  FreeRecord record;
  try {
    record.graph = tracer.trace(example_inputs(graph, options.example, kTracedBatch, 0));
    const auto other = tracer.trace(example_inputs(graph, options.example, kSecondBatch, 0));
    record.reason = free_batch({*record.graph, kTracedBatch}, {*other, kSecondBatch},
                               {axis.input, static_cast<int64_t>(axis.axis)});
  } catch (const Error& error) {
    record.reason = fmt::format("it cannot be run at batch {}: {}", kTracedBatch, text_of(error));
  }
  return record;
}

// Emits one graph in one way; the pieces share what they all need.
class Emitter {
 public:
  Emitter(const Graph& graph, const TorchScriptOptions& options)
      : graph_(graph), options_(options), reference_(graph) {
    if (!options.engine) return;
    plan_ = plan_quantized_ops(graph, *options.engine);
    if (!plan_.groups.empty()) engine_scope_.emplace(*options.engine);
  }

  GraphTracer tracer() const { return GraphTracer(graph_, engine_scope_ ? &plan_ : nullptr); }
  const QuantizedPlan& plan() const { return plan_; }

  // Loads the bytes and runs them at each of these batch sizes, each time loaded anew.
  std::vector<TorchScriptCheck> check(const std::string& bytes,
                                      const std::vector<int64_t>& batches) const {
    std::vector<TorchScriptCheck> checks;
    for (const int64_t batch : batches) {
      TorchScriptProgram program = load(bytes);
      checks.push_back(check(program, batch));
    }
    return checks;
  }

  // What happens when one loaded module runs at one batch size and then at another.
  std::string mixed_failure(const std::string& bytes, int64_t first, int64_t second) const {
    TorchScriptProgram program = load(bytes);
    check(program, first);
    return check(program, second).failure;
  }

 private:
  TorchScriptProgram load(const std::string& bytes) const {
    return TorchScriptProgram(bytes, options_.mobile,
                              engine_scope_ ? options_.engine : std::nullopt);
  }

  TorchScriptCheck check(TorchScriptProgram& program, int64_t batch) const {
    TorchScriptTolerance allowed{options_.tolerance, std::nullopt};
    if (engine_scope_) allowed.min_sqnr_db = options_.min_sqnr_db;
    const auto inputs = example_inputs(graph_, options_.example, batch, 1);
    TorchScriptCheck check = check_torchscript(program, reference_, inputs, allowed);
    check.batch = batch;
    return check;
  }

  const Graph& graph_;
  const TorchScriptOptions& options_;
  Interpreter reference_;
  QuantizedPlan plan_;
  std::optional<QuantizedEngineScope> engine_scope_;
};

}  // namespace

struct TorchScriptProgram::Loaded {
  std::optional<jit::Module> module;
  std::optional<jit::mobile::Module> mobile;
  std::optional<QuantizedEngine> engine;
};

TorchScriptProgram::TorchScriptProgram(std::string_view bytes, bool mobile,
                                       std::optional<QuantizedEngine> engine)
    : loaded_(std::make_unique<Loaded>()) {
  loaded_->engine = engine;
  std::optional<QuantizedEngineScope> scope;
  if (engine) scope.emplace(*engine);
  std::istringstream in{std::string(bytes)};
  // Builds with LLVM (Debian 13's) would make kernels of their own for minutes at the first runs.
  jit::setTensorExprFuserEnabled(false);
  try {
    if (mobile)
      loaded_->mobile = jit::_load_for_mobile(in, at::kCPU);
    else
      loaded_->module = jit::load(in, at::kCPU);
  } catch (...) {
    rethrow_foreign("loading TorchScript");
  }
}

TorchScriptProgram::~TorchScriptProgram() = default;
TorchScriptProgram::TorchScriptProgram(TorchScriptProgram&&) noexcept = default;

std::vector<at::Tensor> TorchScriptProgram::run(const std::vector<at::Tensor>& inputs) {
  const c10::InferenceMode inference;
  std::optional<QuantizedEngineScope> scope;
  if (loaded_->engine) scope.emplace(*loaded_->engine);
  std::vector<c10::IValue> arguments(inputs.begin(), inputs.end());
  std::vector<at::Tensor> outputs;
  try {
    const c10::IValue result = loaded_->mobile ? loaded_->mobile->forward(std::move(arguments))
                                               : loaded_->module->forward(std::move(arguments));
    if (result.isTensor())
      outputs.push_back(result.toTensor());
    else
      for (const c10::IValue& element : result.toTupleRef().elements())
        outputs.push_back(element.toTensor());
  } catch (...) {
    rethrow_from_module("running TorchScript");
  }
  return outputs;
}

TorchScriptCheck check_torchscript(TorchScriptProgram& program, const Interpreter& reference,
                                   const std::vector<RuntimeValue>& inputs,
                                   const TorchScriptTolerance& allowed) {
  const Graph& graph = reference.graph();
  const std::vector<RuntimeValue> expected = reference.run(inputs);
  TorchScriptCheck check;
  std::vector<at::Tensor> arguments;
  for (const RuntimeValue& input : inputs) arguments.push_back(input.tensor);
  std::vector<at::Tensor> got;
  try {
    got = program.run(arguments);
  } catch (const Error& error) {
    check.failure = text_of(error);
    return check;
  }
  if (got.size() != expected.size()) {
    check.failure = fmt::format("it gives {} outputs, not {}", got.size(), expected.size());
    return check;
  }
  for (size_t i = 0; i < got.size(); ++i) {
    const Value& value = graph.value(graph.outputs()[i]);
    const at::Tensor& wanted = expected[i].tensor;
    if (got[i].sizes() != wanted.sizes() || got[i].scalar_type() != wanted.scalar_type()) {
      check.failure =
          fmt::format("output {} is {} {}, not {} {}", escape_untrusted(value.name),
                      c10::toString(got[i].scalar_type()), shape_text(got[i].sizes().vec()),
                      c10::toString(wanted.scalar_type()), shape_text(wanted.sizes().vec()));
      return check;
    }
    ValueError error{value.name, {}, {}, error_sums(wanted, got[i])};
    if (value.producer.valid()) {
      error.node = graph.node(value.producer).name;
      error.node_type = graph.node(value.producer).type_name();
    }
    if (check.failure.empty()) check.failure = failure_of(error, allowed);
    check.outputs.push_back(std::move(error));
  }
  return check;
}

TorchScriptArtifact emit_torchscript(const Graph& graph, const TorchScriptOptions& options) {
  require_traceable(graph);
  const std::vector<FreeAxis> axes = batch_axes(graph);
  const int64_t batch = example_batch(graph, options.example);
  const Emitter emitter(graph, options);
  TorchScriptArtifact artifact;
  artifact.quantized = emitter.plan();
  artifact.batch_fixed = true;
  artifact.batch_reason = "the model's inputs have no free batch axis";
  if (!axes.empty()) {
    GraphTracer tracer = emitter.tracer();
    const FreeRecord record = trace_free_batch(graph, tracer, options, axes[0]);
    artifact.batch_reason = record.reason;
    if (record.reason.empty()) {
      artifact.bytes =
          write(tracer.module_of(record.graph), options.mobile, notes_of(graph, nullptr));
      const int64_t other = batch == 1 ? kSecondBatch : 1;
      artifact.checks = emitter.check(artifact.bytes, {batch, other});
      for (const TorchScriptCheck& check : artifact.checks)
        if (!check.failure.empty())
          artifact.batch_reason = fmt::format("at batch {}: {}", check.batch, check.failure);
      artifact.batch_fixed = !artifact.batch_reason.empty();
      // Seen with oneDNN's quantized convolutions, which keep weights packed for their first input.
      if (!artifact.batch_fixed)
        artifact.batch_per_load = emitter.mixed_failure(artifact.bytes, batch, other);
    }
  }
  if (!artifact.batch_fixed) return artifact;
  GraphTracer tracer = emitter.tracer();
  const std::vector<RuntimeValue> example = example_inputs(graph, options.example, batch, 0);
  const auto record = tracer.trace(example);
  artifact.bytes = write(tracer.module_of(record), options.mobile, notes_of(graph, &example));
  artifact.checks = emitter.check(artifact.bytes, {batch});
  return artifact;
}

}  // namespace lathe
