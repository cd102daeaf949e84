// lathe compile: load, optimize, prove, publish.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <filesystem>

#include "c99/c_text.h"
#include "command_run.h"
#include "commands/compile/transform_graph.h"
#include "commands/compile/verification_inputs.h"
#include "commands/compile/verify_compiled.h"
#include "graph/optimize_graph.h"
#include "heavy/commands.h"
#include "heavy/compile_target.h"
#include "heavy/error_rows.h"
#include "heavy/manifest.h"
#include "heavy/model_artifact.h"
#include "heavy/model_data.h"
#include "heavy/pipeline_rows.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "model_facts.h"
#include "names/targets.h"
#include "ops/op_row.h"
#include "os/host.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "report/nearest_name.h"

namespace lathe {
namespace {

nlohmann::json verification_json(const CompileOptions& options, const Verification& verification) {
  nlohmann::json section = {{"inputs", options.verify},
                            {"samples", verification.result.samples},
                            {"tolerance", verification.bound.tolerance},
                            {"verified", verification.failure.empty()},
                            {"outputs", error_rows(verification.result.outputs)}};
  if (verification.bound.min_sqnr_db) {
    section["tolerance"] = nullptr;
    section["tolerance_reason"] = "float16 on seeded inputs is judged by min_sqnr_db";
    section["min_sqnr_db"] = *verification.bound.min_sqnr_db;
  }
  if (verification.artifact_bound && verification.artifact_bound->min_sqnr_db)
    section["artifact_min_sqnr_db"] = *verification.artifact_bound->min_sqnr_db;
  if (verification.left_out > 0) section["left_out"] = verification.left_out;
  if (verification.rounding_sqnr_db && std::isfinite(*verification.rounding_sqnr_db))
    section["rounding_sqnr_db"] = *verification.rounding_sqnr_db;
  return section;
}

// The artifact's runtime may round where the graph does not.
std::string artifact_bound_text(const Verification& verification) {
  if (!verification.artifact_bound || !verification.artifact_bound->min_sqnr_db ||
      verification.bound.min_sqnr_db)
    return {};
  return fmt::format(" of the graph, {} of the artifact", bound_text(*verification.artifact_bound));
}

std::string left_out_text(const Verification& verification) {
  if (verification.left_out == 0) return {};
  return fmt::format(" ({} left out: float rounding alone changes their outputs)",
                     verification.left_out);
}

std::string rounding_text(const Verification& verification) {
  if (!verification.rounding_sqnr_db) return {};
  return fmt::format(", or what rounding alone changes (it leaves {:.1f} dB) and a little more",
                     *verification.rounding_sqnr_db);
}

// Read back or executed, not the graph alone that it was made of.
bool was_run(const CompiledArtifact& artifact) { return artifact.reread || artifact.run; }

nlohmann::json manifest_of(const CompileOptions& options, const Target& target,
                           const CompiledArtifact& artifact, const Graph& before,
                           const Graph& after, const CommandRun& run, const TransformFacts& facts,
                           const std::optional<Verification>& verification) {
  nlohmann::json manifest = manifest_json(run, before, after, target.reader);
  manifest["target"] = options.target;
  manifest["verified"] = verification.has_value() && was_run(artifact);
  manifest.update(facts.sections);
  // A target adds to the environment, too.
  manifest.merge_patch(artifact.facts);
  if (verification) manifest["verification"] = verification_json(options, *verification);
  return manifest;
}

bool changed_arithmetic(const Pipeline& pipeline) {
  return std::any_of(
      pipeline.steps().begin(), pipeline.steps().end(),
      [](const PipelineStep& step) { return step.changes > 0 && is_arithmetic_pass(step.pass); });
}

void require_known_passes(const CompileOptions& options, const Pipeline& pipeline) {
  std::vector<std::string> names;
  for (const PipelineStep& step : pipeline.steps()) names.push_back(step.pass);
  for (const std::string& wanted : options.disabled)
    if (std::find(names.begin(), names.end(), wanted) == names.end())
      throw bad_usage("usage.pass", "there is no pass '" + escape_untrusted(wanted) + "'",
                      "--disable-pass", name_hint(wanted, names));
}

// What was given for another target than this one.
void check_flags(const CompileOptions& options, const Target& target) {
  if (target.format != kOnnxFormat && (options.float16 || options.opset))
    throw bad_usage("usage.target", "only ONNX files have an opset and float16 arithmetic",
                    options.float16 ? "--float16" : "--opset",
                    fmt::format("leave it out with --target {}", target.name));
  if (options.external_data && target.format != kOnnxFormat)
    throw bad_usage("usage.external_data",
                    fmt::format("a {} file holds its weights", target.format), "--external-data",
                    "leave it out, or use --target onnx");
  if (options.dynamic_batch && target.kind == TargetKind::kTflite)
    throw bad_usage("usage.target", "a .tflite file has one batch", "--dynamic-batch",
                    "leave it out; --input-shape NAME=8x… says which");
  if (options.tune && target.kind != TargetKind::kNative)
    throw bad_usage("usage.tune",
                    fmt::format("only native plans are tuned, not {} files", target.name), "--tune",
                    "use --target native");
  const auto only_c = [&](bool is_given, const char* flag) {
    if (is_given && target.kind != TargetKind::kC99)
      throw bad_usage("usage.target", fmt::format("{} belongs to C code", flag), flag,
                      "leave it out, or use --target c99");
  };
  const std::string header =
      std::filesystem::path(header_of(options.common.output)).filename().string();
  if (target.kind == TargetKind::kC99 && is_c_library_header(header))
    throw bad_usage("usage.output", "the C library has a header of that name: " + header, "-o",
                    "give the file another name");
  if (target.kind == TargetKind::kC99 && header.find_first_of("\"\\\n\r") != std::string::npos)
    throw bad_usage("usage.output",
                    "C cannot include a file of that name: " + escape_untrusted(header, 60), "-o",
                    "leave out quotes, backslashes and line ends");
  only_c(!options.prefix.empty(), "--prefix");
  only_c(!options.code.max_ram.empty(), "--max-ram");
  only_c(!options.code.fast_ram.empty(), "--fast-ram");
  only_c(options.core != kAnyCore, "--core");
  only_c(options.weights_file, "--weights-file");
  only_c(options.code.rounding != "ort", "--rounding");
  if (!options.prefix.empty() && c_identifier(options.prefix) != options.prefix)
    throw bad_usage("usage.prefix", "this is no name in C", "--prefix",
                    "letters, digits and _, as " + c_identifier(options.prefix));
}

}  // namespace

int run_compile(const CompileOptions& options, Console& console) {
  const CommonOptions& common = options.common;
  const Target& target = find_target(options.target);
  require_output(common, "model", fmt::format("OUT{}", target.extensions.front()));
  std::vector<std::string> outputs = planned_files(common, target);
  check_flags(options, target);
  const int64_t max_ram =
      options.code.max_ram.empty() ? INT64_MAX : parse_bytes(options.code.max_ram, "--max-ram");
  if (!common.dry_run && options.external_data) outputs.push_back(common.output + ".data");
  if (!common.dry_run && options.weights_file) outputs.push_back(weights_of(common.output));
  check_files(common, outputs, {options.model});
  CommandRun run = begin_run("compile", common, console);
  const Profile& profile = run.profile;
  Report& report = run.report;
  const int threads = use_threads(common);
  warn_of_crowding("usage.threads", threads, console);
  Model model = open_model(options.model, common, console);
  report.model = model_facts(options.model, model);
  Graph& graph = model.graph;
  const Model original = model;
  const std::set<std::string> disabled(options.disabled.begin(), options.disabled.end());
  Pipeline pipeline(graph, {.disabled = disabled, .dump = {}, .check = throw_if_interrupted});
  std::optional<VerificationInputs> inputs;
  if (options.verify != "off" && (options.float16 || !common.dry_run))
    inputs = verification_inputs(options, original, console);
  const TransformFacts facts =
      transform_graph(graph, options, inputs ? &*inputs : nullptr, threads, console, pipeline);
  for (const auto& [name, section] : facts.sections.items()) report.details[name] = section;
  require_known_passes(options, pipeline);
  record_steps(pipeline, report);
  const int64_t before = count_nodes(original.graph);
  if (common.dry_run)
    return finish_run(run, fmt::format("{} nodes would become {}; nothing was written\n", before,
                                       count_nodes(graph)));
  if (options.opset) model.opset = *options.opset;
  const CompiledArtifact artifact = emit_artifact(target, model, profile, options, console);
  // Of the file: what its opset lacks is written out in several nodes there.
  const Graph& emitted = artifact.reread ? artifact.reread->graph : graph;
  const int64_t after = count_nodes(emitted);
  std::optional<Verification> verification;
  if (inputs) {
    verification = verify_compiled(options, original, model, artifact, inputs->source,
                                   changed_arithmetic(pipeline), threads, console);
    if (facts.batch && verification->failure.empty())
      verification->failure =
          verify_batch(Interpreter(original.graph),
                       Interpreter(artifact.reread ? artifact.reread->graph : graph), *facts.batch,
                       common.seed, verification->bound);
    report.details["verification"] = verification_json(options, *verification);
  }
  const bool failed = verification && !verification->failure.empty();
  throw_if_interrupted();
  if (!failed) {
    publish_model(
        artifact.written,
        manifest_of(options, target, artifact, original.graph, emitted, run, facts, verification),
        common.output, common.force, report, artifact.beside);
    std::optional<FitFile> file;
    if (target.format != kOnnxFormat) file.emplace();
    if (artifact.c_code) {
      file->is_source = true;
      file->plan_bytes = artifact.c_code->constant_bytes;
      file->plan_arena_bytes = artifact.c_code->arena_bytes + artifact.c_code->fast_bytes;
    }
    if (artifact.plan)
      file = fit_file_of(*artifact.plan, static_cast<int64_t>(artifact.written.model_bytes.size()));
    note_output(run, model, artifact.written, file);
    report.model_out->format = target.format;
    if (target.format != kOnnxFormat) report.model_out->opset.reset();
  }
  for (const char* section : {"native", "c99", "tflite"})
    if (artifact.facts.contains(section)) report.details[section] = artifact.facts[section];
  report.exit_code = failed ? ExitCode::kGateMissed : ExitCode::kDone;
  std::string ram_text;
  if (artifact.c_code && artifact.c_code->arena_bytes > max_ram) {
    report.exit_code = ExitCode::kGateMissed;
    ram_text = console.bad("FAIL --max-ram") +
               fmt::format(": the arena takes {} of {}{}, most of it for {}\n",
                           bytes_text(artifact.c_code->arena_bytes), bytes_text(max_ram),
                           artifact.c_code->parts > 1 ? ", the least that was found" : "",
                           artifact.c_code->peak);
  }
  if (failed)
    return finish_run(run, console.bad("FAIL not verified, nothing was written") + ": " +
                               verification->failure +
                               "\n  --disable-pass NAME leaves a pass out\n");
  std::string text = ram_text;
  text += !verification          ? "compiled, not verified"
          : was_run(artifact) ? console.good("compiled and verified")
                              : "compiled; its graph is verified, the result itself was not run";
  text +=
      fmt::format(": {}  {} nodes (was {}), {} (was {}){}\n", common.output, after, before,
                  bytes_text(report.model_out->file_bytes), bytes_text(report.model->file_bytes),
                  artifact.reread ? fmt::format(", opset {}", artifact.written.opset) : "");
  if (verification)
    text += fmt::format("{} samples{}, allowed {}{}{}\n\n", verification->result.samples,
                        left_out_text(*verification), bound_text(verification->bound),
                        artifact_bound_text(*verification), rounding_text(*verification)) +
            table(error_table(verification->result.outputs, 8));
  if (!artifact.text.empty()) text += "\n" + artifact.text;
  std::map<std::string, int64_t> changes;
  for (const StepRow& step : report.steps) changes[step.pass] += step.changes;
  std::vector<std::vector<std::string>> rows{{"pass", "changes"}};
  for (const auto& [pass, count] : changes)
    if (count > 0) rows.push_back({pass, std::to_string(count)});
  if (rows.size() > 1) text += "\n" + table(rows);
  return finish_run(run, text);
}

}  // namespace lathe
