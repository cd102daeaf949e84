// lathe quantize: load, simplify, calibrate, plan, insert, evaluate, publish.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>

#include "command_run.h"
#include "commands/quantize/diagnosis.h"
#include "commands/quantize/encodings_file.h"
#include "commands/quantize/evaluation.h"
#include "commands/quantize/judge_calibration.h"
#include "commands/quantize/quantize_job.h"
#include "commands/quantize/quantize_report.h"
#include "commands/quantize/quantize_text.h"
#include "commands/quantize/quantize_usage.h"
#include "commands/quantize/stage_time.h"
#include "graph/simplify.h"
#include "heavy/commands.h"
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
#include "os/signals.h"
#include "passes/passes.h"
#include "quantize/apply/fuse_qoperators.h"
#include "quantize/plan/choose_mode.h"

namespace lathe {
namespace {

nlohmann::json manifest_of(const CommandRun& run, const Graph& before, const Graph& after,
                           const QuantizedModel& quantized) {
  nlohmann::json manifest = manifest_json(run, before, after);
  manifest["precision"] = quantized.coverage;
  add_verification(run.report, manifest);
  return manifest;
}

std::vector<std::string> names_of_tensors(const Graph& graph) {
  std::vector<std::string> names;
  for (const ValueId id : graph.value_ids()) names.push_back(graph.value(id).name);
  std::sort(names.begin(), names.end());
  return names;
}

QuantizedModel quantize_in_mode(const std::string& mode, const QuantizeJob& job) {
  if (mode == "dynamic") return quantize_dynamic(job);
  if (mode == "weight-only") return quantize_weights(job);
  if (mode == "float16") return quantize_float16(job);
  return quantize_static(job);
}

// What is wrong with --eval shows before the long work, not after it.
void check_eval(const QuantizeJob& job) {
  const QuantizeOptions& options = job.options;
  if (options.eval.empty()) return;
  choose_metric(options.metric, job_data(job, options.eval, 0).has_labels());
}

// A command that fails on the first quantized model is told after that is written.
HeldTarget judged(const QuantizeJob& job, const DecidingMetric& metric, QuantizedModel& quantized) {
  try {
    return hold_max_drop(job, metric, quantized);
  } catch (const Error& error) {
    if (!error.id().starts_with("eval_command.")) throw;
    HeldTarget target;
    target.metric = metric.name;
    target.stopped_by = error;
    return target;
  }
}

// A model that could not be judged, or not to the end, is on the disk nevertheless.
Error failed_after_writing(const Error& error, bool searching, const std::string& output) {
  const ErrorText& text = error.text();
  if (searching)
    return Error(error.code(), error.id(),
                 {text.message + "; the best model so far was written", text.where,
                  "run it again to search on"});
  return Error(
      error.code(), error.id(),
      {fmt::format("{}; {} was written, not judged", text.message, output), text.where, text.hint});
}

}  // namespace

int run_quantize(const QuantizeOptions& options, Console& console) {
  const CommonOptions& common = options.common;
  StageTimes times;
  check_usage(options);
  times.allowed_seconds = allowed_seconds(options);
  CommandRun run = begin_run("quantize", common, console);
  const Profile& profile = run.profile;
  Report& report = run.report;
  const int threads = use_threads(common);
  if (!host_has_int8(*report.host, profile.cpu.int8))
    console.warn("profile.host", "this host lacks the profile's int8 instruction (" +
                                     profile.cpu.int8 + "); speed measured here will differ");

  Model model = open_model(options.model, common, console);
  report.model = model_facts(options.model, model);
  Graph& graph = model.graph;
  const Graph original = graph;
  // After a search that was stopped its best is still written.
  bool writing_best = false;
  const auto check = [&] {
    if (!writing_best) throw_if_interrupted();
  };
  Pipeline pipeline(graph, {.disabled = {}, .dump = {}, .check = check});
  pipeline.run("widen_float16", [&] { return widen_float16(graph); });
  simplify(graph, pipeline);
  const Graph simplified = graph;

  std::map<std::string, DataSet> opened;
  const std::vector<std::string> given_names = names_of_tensors(original);
  const QuantizeJob job{options, profile, model,       pipeline, threads,
                        console, opened,  given_names, times};
  const ModeChoice choice =
      options.mode == "auto" ? choose_mode(graph, profile) : ModeChoice{options.mode, "asked for"};
  require_calibration_data(options, choice);
  check_runtime(options, choice.mode, profile);
  if (const std::string unread = unread_flags(options, choice.mode); !unread.empty())
    console.warn("quantize.unread", fmt::format("{} makes no use of {}", choice.mode, unread));
  std::optional<DecidingMetric> metric;
  if (!common.dry_run) {
    check_eval(job);
    if (!options.max_drop.empty() || !options.eval_command.empty()) {
      const bool onnx = report.model->format == kOnnxFormat;
      metric = deciding_metric(job, simplified,
                               onnx ? std::filesystem::absolute(options.model).string() : "");
      if (metric->prepare) metric->prepare();
    }
  }
  judge_calibration(job, choice.mode);
  QuantizedModel quantized = quantize_in_mode(choice.mode, job);
  quantized.details["mode"] = choice.mode;
  quantized.details["mode_reason"] = choice.reason;
  if (options.mode == "auto")
    quantized.rows.insert(quantized.rows.begin(), {"mode", choice.mode + ": " + choice.reason});
  if (!quantized.changed)
    console.warn("quantize.nothing", "no node of this model was quantized",
                 nothing_hint(options, simplified, choice.mode, profile, quantized.exceptions));
  report.plan = quantized.plan;
  if (common.dry_run) {
    record_steps(pipeline, report);
    // The plan goes to the screen only.
    run.common.report.clear();
    run.common.html.clear();
    run.common.exports.clear();
    return finish_run(run, fmt::format("plan: {}\n{}nothing was written\n", quantized.coverage,
                                       exceptions_text(quantized.exceptions, 12)));
  }
  std::optional<HeldTarget> target;
  if (metric) {
    target = judged(job, *metric, quantized);
    metric.reset();
    report.plan = quantized.plan;
    writing_best = target->stopped_by.has_value();
  }
  // Of what is written; the layers' forms are known before they are fused.
  if (!writing_best) within_time(job, "diagnosis", [&] { diagnose_quantized(job, quantized); });
  if (!times.seconds.empty()) quantized.details["stage_s"] = times.seconds;
  warn_left_out(job);
  if (!times.left_out.empty()) quantized.details["left_out"] = times.left_out;
  if (options.format == "qoperator" && choice.mode == "static") {
    pipeline.run("fuse_qoperators", [&] { return fuse_qoperators(graph); });
    note_unfused(graph, quantized);
    report.plan = quantized.plan;
  }
  // After insertion: equal scales and zero points are shared, float weights are dead.
  pipeline.run("deduplicate_constants", [&] { return deduplicate_constants(graph); });
  pipeline.run("eliminate_dead_nodes", [&] { return eliminate_dead_nodes(graph); });
  infer_shapes(graph);
  record_steps(pipeline, report);
  const WrittenModel written = write_model_for(model, profile, options.opset, common.output);

  std::optional<Evaluation> evaluation;
  if ((!options.eval.empty() || target) && !writing_best) {
    const Model reread = read_back(written, model);
    evaluation = evaluate_quantized(job, simplified, reread.graph, std::move(target));
    report_quality(*evaluation, report);
  }
  check();
  publish_model(written, manifest_of(run, original, graph, quantized), common.output, common.force,
                report);
  if (writing_best)
    throw failed_after_writing(*target->stopped_by, quantized.details.contains("mixed_precision"),
                               common.output);
  export_encodings(job, quantized, run);
  note_output(run, model, written);
  report.details["quantize"] = quantized.details;
  report.details["quantize"]["coverage"] = quantized.coverage;
  const bool missed = evaluation && evaluation->missed;
  report.exit_code = missed ? ExitCode::kGateMissed : ExitCode::kDone;
  note_usage(run);
  return finish_run(run, quantize_text(options, report, quantized, evaluation, console));
}

}  // namespace lathe
