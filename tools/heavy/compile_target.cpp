#include "heavy/compile_target.h"

#include <torch/version.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "artifact/plan_graph.h"
#include "commands/compile/tune_native.h"
#include "engine/native_plan_file.h"
#include "heavy/emit_c.h"
#include "heavy/emit_tflite.h"
#include "heavy/model_artifact.h"
#include "heavy/specialize_graph.h"
#include "ir/error.h"
#include "os/sha256.h"
#include "profiles/fit.h"
#include "torchscript/emit/torchscript.h"

namespace lathe {
namespace {

CompiledArtifact emit_onnx(const Model& model, const Profile& profile,
                           const CompileOptions& options) {
  CompiledArtifact artifact;
  artifact.written =
      write_model_for(model, profile, options.opset, options.common.output, options.external_data);
  artifact.reread = read_back(artifact.written, model);
  return artifact;
}

nlohmann::json quantized_facts(const TorchScriptArtifact& emitted, QuantizedEngine engine) {
  std::map<std::string, int64_t> ops;
  for (const QuantizedGroup& group : emitted.quantized.groups)
    ++ops[std::string(quantized_op_name(group.op))];
  return {{"engine", std::string(engine_name(engine))}, {"operators", ops}};
}

CompiledArtifact emit_script(const Model& model, const Profile& profile,
                             const CompileOptions& options, bool mobile) {
  TorchScriptOptions script;
  script.mobile = mobile;
  script.engine = quantized_engine(profile);
  if (options.tolerance) script.tolerance = *options.tolerance;
  TorchScriptArtifact emitted = emit_torchscript(model.graph, script);
  CompiledArtifact artifact;
  const bool quantized = !emitted.quantized.groups.empty();
  if (quantized) {
    artifact.min_sqnr_db = script.min_sqnr_db;
    artifact.facts["quantized"] = quantized_facts(emitted, *script.engine);
  }
  artifact.one_shape = emitted.batch_fixed || !emitted.batch_per_load.empty();
  artifact.facts["batch_fixed"] = emitted.batch_fixed;
  if (emitted.batch_fixed) artifact.facts["batch_reason"] = emitted.batch_reason;
  if (!emitted.batch_per_load.empty())
    artifact.facts["batch_per_load_reason"] = emitted.batch_per_load;
  artifact.facts["expected_environment"]["libtorch"] = TORCH_VERSION;
  if (quantized)
    artifact.facts["expected_environment"]["quantized_engine"] =
        std::string(engine_name(*script.engine));
  const auto program = std::make_shared<TorchScriptProgram>(
      emitted.bytes, mobile, quantized ? script.engine : std::nullopt);
  artifact.run = [program](const std::vector<at::Tensor>& inputs) { return program->run(inputs); };
  artifact.written.model_bytes = std::move(emitted.bytes);
  return artifact;
}

// What a user should know who hands the plan on: one line each.
std::string plan_notes(const NativePlanFile& made) {
  std::string notes;
  if (made.file.metadata.lost_batch)
    notes += fmt::format(
        "batch 1, although the model's is free: {}; another one: --input-shape NAME=8x…\n",
        made.reason);
  const std::string left = ops_left(made.file);
  if (left.empty()) return notes;
  return notes +
         fmt::format("needs lathe to run (liblathe_rt refuses it): no native kernel for {}\n",
                     left);
}

CompiledArtifact emit_native(const Model& model, const Profile& profile,
                             const CompileOptions& options, Console& console) {
  const Graph& graph = model.graph;
  const SpecializeGraph specialize = [&](const std::vector<Shape>& shapes) {
    return specialized(graph, shapes);
  };
  const LowerOptions lower = lower_options(profile);
  std::optional<TuningFacts> tuning;
  NativePlanFile made;
  if (options.tune) {
    TunedPlan tuned = tune_native(graph, specialize, lower, options, console);
    made = std::move(tuned.made);
    tuning = std::move(tuned.facts);
  } else {
    made = make_plan_file(graph, specialize, lower);
  }
  made.file.metadata.producer = "lathe " LATHE_VERSION;
  made.file.metadata.source_sha256 = sha256_file(options.model);
  made.file.metadata.profile = profile.name;
  made.file.metadata.execution = execution_of(profile, made.file.plan);
  // Tuned plans are for this machine anyway; others stay the same bytes on every machine.
  if (tuning) add_packed_weights(made.file);
  CompiledArtifact artifact;
  artifact.one_shape = made.batch_fixed;
  artifact.facts["batch_fixed"] = made.batch_fixed;
  if (made.batch_fixed) artifact.facts["batch_reason"] = made.reason;
  std::map<std::string, int64_t> steps;
  // A layer that stays in float differs from the graph's integers, too.
  bool rounds = tuning && !tuning->floats.empty();
  int64_t bfloat16 = 0;
  for (const PlanStep& step : made.file.plan.steps) {
    ++steps[std::string(step_name(step.kind))];
    rounds = rounds || std::holds_alternative<ProductStep>(step.kind) ||
             std::holds_alternative<DepthwiseStep>(step.kind);
    if (may_round(step)) ++bfloat16;
  }
  // Two correct executions of such a network differ.
  if (rounds || bfloat16 > 0) artifact.min_sqnr_db = TorchScriptOptions{}.min_sqnr_db;
  artifact.facts["native"] = {{"steps", steps},
                              {"arena_bytes", made.file.plan.arena_bytes},
                              {"arena_lower_bound_bytes", made.file.plan.arena_lower_bound},
                              {"constants_bytes", made.file.plan.constants.size()},
                              {"bfloat16_steps", bfloat16},
                              {"needs_lathe", !made.file.partitions.empty()}};
  if (tuning) {
    artifact.facts["native"]["tuning"] = tuning_json(*tuning, made.file.metadata.fingerprint);
    artifact.text = tuning_text(*tuning);
  }
  const std::string notes = plan_notes(made);
  artifact.text = notes + (notes.empty() || artifact.text.empty() ? "" : "\n") + artifact.text;
  artifact.written.model_bytes = write_plan_file(made.file);
  // What is verified is what was written.
  const std::string& bytes = artifact.written.model_bytes;
  const auto file = std::make_shared<const PlanFile>(
      read_plan_file({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}));
  artifact.plan = file;
  const auto engine = std::make_shared<NativeEngine>(plan_graph(file), plans_of(file));
  artifact.run = [engine, file](const std::vector<at::Tensor>& inputs) {
    std::vector<RuntimeValue> values;
    for (size_t i = 0; i < inputs.size(); ++i)
      values.emplace_back(inputs[i], file->metadata.inputs.at(i).dtype);
    std::vector<at::Tensor> outputs;
    for (RuntimeValue& value : engine->run(values)) outputs.push_back(std::move(value.tensor));
    return outputs;
  };
  return artifact;
}

}  // namespace

PlanExecution execution_of(const Profile& device, const NativePlan& plan) {
  const ExecutionProfile& profile = device.execution;
  PlanExecution execution;
  execution.threads = static_cast<int32_t>(std::min(profile.threads, kMostPlanThreads));
  if (profile.affinity == "compact") execution.affinity = CpuAffinity::kCompact;
  if (profile.affinity == "big") execution.affinity = CpuAffinity::kBig;
  execution.batch_default =
      batch_that_fits(device, static_cast<int64_t>(plan.constants.size()), plan.arena_bytes);
  execution.batch_max = profile.batch_max;
  execution.queue_delay_us = std::llround(profile.queue_delay_ms * 1000);
  return execution;
}

LowerOptions lower_options(const Profile& profile) {
  LowerOptions options;
  options.bfloat16 = profile.precision.bfloat16;
  return options;
}

QuantizedEngine quantized_engine(const Profile& profile) {
  return profile.cpu.arch == "x86_64" ? QuantizedEngine::kOnednn : QuantizedEngine::kQnnpack;
}

CompiledArtifact emit_artifact(const Target& target, const Model& model, const Profile& profile,
                               const CompileOptions& options, Console& console) {
  switch (target.kind) {
    case TargetKind::kOnnx: return emit_onnx(model, profile, options);
    case TargetKind::kTorchScript: return emit_script(model, profile, options, false);
    case TargetKind::kTorchScriptMobile: return emit_script(model, profile, options, true);
    case TargetKind::kNative: return emit_native(model, profile, options, console);
    case TargetKind::kC99: return emit_c(model, profile, options, console);
    case TargetKind::kTflite: return emit_tflite(model, profile);
  }
  throw InternalError("a target without emitter");
}

}  // namespace lathe
