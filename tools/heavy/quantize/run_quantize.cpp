// lathe quantize: load, simplify, calibrate, plan, insert, evaluate, publish.
#include <fmt/format.h>

#include <filesystem>

#include "heavy/commands.h"
#include "heavy/manifest.h"
#include "heavy/model_artifact.h"
#include "heavy/model_data.h"
#include "heavy/pipeline_rows.h"
#include "heavy/quantize/choose_mode.h"
#include "heavy/quantize/diagnosis.h"
#include "heavy/quantize/evaluation.h"
#include "heavy/quantize/quantize_job.h"
#include "heavy/quantize/quantize_report.h"
#include "heavy/quantize/quantize_text.h"
#include "heavy/stopwatch.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "model_facts.h"
#include "ops/op_row.h"
#include "os/check_output.h"
#include "os/host.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "passes/passes.h"
#include "quantize/fuse_qoperators.h"
#include "simplify/simplify.h"

namespace lathe {
namespace {

void require_calibration_data(const QuantizeOptions& options) {
  const bool saved = !options.statistics.empty() && std::filesystem::exists(options.statistics);
  if (options.data.empty() && !saved)
    throw bad_usage("usage.data", "static quantization needs calibration data", "--data",
                    "give --data PICTURES, or --data random to try it out; --mode dynamic needs "
                    "none");
}

void check_target(const QuantizeOptions& options) {
  const bool command = !options.eval_command.empty();
  if (command && !options.metric.empty())
    throw bad_usage("usage.metric", "--eval-command and --metric are two metrics", "--metric",
                    "leave one of them out");
  if (options.max_drop.empty()) return;
  parse_fraction(options.max_drop, "--max-drop");
  if (options.eval.empty() && !command)
    throw bad_usage("usage.eval", "--max-drop needs --eval DATA or --eval-command", "--max-drop");
  if (options.metric == "sqnr")
    throw bad_usage("usage.metric", "sqnr has no float value to fall from", "--max-drop",
                    "use another --metric, or lathe compare --min-sqnr");
}

// What only --mode static makes use of, as far as it was given.
std::string unread_flags(const QuantizeOptions& options) {
  std::string flags;
  const auto add = [&](const char* flag, bool given) {
    if (given) flags += fmt::format("{}{}", flags.empty() ? "" : ", ", flag);
  };
  add("--observer", options.observer != "auto");
  add("--effort", options.effort == "best");
  add("--statistics", !options.statistics.empty());
  add("--format", options.format == "qoperator");
  return flags;
}

void check_usage(const QuantizeOptions& options) {
  const CommonOptions& common = options.common;
  const bool saved = !options.statistics.empty() && std::filesystem::exists(options.statistics);
  if (options.mode == "static") require_calibration_data(options);
  if (options.weight_bits != 8 && options.mode != "weight-only")
    throw bad_usage("usage.weight_bits", "only --mode weight-only stores weights of 4 bits",
                    "--weight-bits", "add --mode weight-only");
  if (options.format == "qoperator" && options.mode != "static" && options.mode != "auto")
    throw bad_usage("usage.format", "--mode " + options.mode + " has no QOperator form", "--format",
                    "leave --format out, or use --mode static");
  if (options.mode != "static" && options.mode != "auto" && !unread_flags(options).empty())
    throw bad_usage("usage.mode",
                    fmt::format("--mode {} does not read {}", options.mode, unread_flags(options)),
                    "--mode", "leave it out, or use --mode static");
  if (common.output.empty() && !common.dry_run)
    throw bad_usage("usage.output", "where should the model go?", "-o", "add -o OUT.onnx");
  check_target(options);
  std::vector<std::string> outputs = planned_files(common);
  if (!options.statistics.empty() && !saved && !common.dry_run)
    outputs.push_back(options.statistics);
  check_outputs(outputs, common.force, {options.model, options.data, options.eval});
}

nlohmann::json manifest_of(const Report& report, const Graph& before, const Graph& after,
                           const QuantizedModel& quantized, const Profile& profile) {
  nlohmann::json manifest = manifest_json(report, before, after, profile, "onnxruntime");
  manifest["precision"] = quantized.coverage;
  add_verification(report, manifest);
  return manifest;
}

// Why nothing was quantized, and what might help.
std::string nothing_hint(const QuantizeOptions& options, const Graph& graph,
                         const std::string& mode) {
  bool integer = false;
  bool layers = false;
  for_each_graph(graph, [&](const Graph& part) {
    for (const NodeId id : part.node_ids()) {
      const OpKind kind = part.node(id).kind;
      integer |= kind == OpKind::kDequantizeLinear || kind == OpKind::kQLinearConv ||
                 kind == OpKind::kMatMulInteger;
      layers |= kind == OpKind::kConv || kind == OpKind::kMatMul || kind == OpKind::kGemm ||
                kind == OpKind::kLSTM || kind == OpKind::kGRU;
    }
  });
  if (integer) return "it is quantized already";
  if (!layers) return "it has no Conv, MatMul, Gemm, LSTM or GRU";
  if (!options.include.empty() || !options.exclude.empty())
    return "--include and --exclude leave no layer that --mode " + mode + " quantizes";
  return mode == "static" ? "its layers are recurrent or inside If, Loop or Scan: try --mode dynamic"
                          : "try --mode weight-only; --report tells why for each node";
}

QuantizedModel quantize_in_mode(const std::string& mode, const QuantizeJob& job) {
  if (mode == "dynamic") return quantize_dynamic(job);
  if (mode == "weight-only") return quantize_weights(job);
  if (mode == "float16") return quantize_float16(job);
  require_calibration_data(job.options);
  return quantize_static(job);
}

}  // namespace

int run_quantize(const QuantizeOptions& options, Console& console) {
  const CommonOptions& common = options.common;
  check_usage(options);
  const Stopwatch start;
  const int threads = use_threads(common);
  const Profile profile = load_profile(common.profile);
  Report report = start_report("quantize", common);
  report.device_profile = {{"name", profile.name},
                           {"version", profile.version},
                           {"hash", profile.hash},
                           {"isa", profile.cpu.isa}};
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

  const QuantizeJob job{options, profile, model, pipeline, threads, console};
  const ModeChoice choice = options.mode == "auto" ? choose_mode(graph, profile)
                                                   : ModeChoice{options.mode, "asked for"};
  if (options.mode == "auto" && choice.mode != "static" && !unread_flags(options).empty())
    console.warn("quantize.unread",
                 fmt::format("{} makes no use of {}", choice.mode, unread_flags(options)));
  QuantizedModel quantized = quantize_in_mode(choice.mode, job);
  quantized.details["mode"] = choice.mode;
  quantized.details["mode_reason"] = choice.reason;
  if (options.mode == "auto")
    quantized.rows.insert(quantized.rows.begin(), {"mode", choice.mode + ": " + choice.reason});
  if (!quantized.changed)
    console.warn("quantize.nothing", "no node of this model was quantized",
                 nothing_hint(options, simplified, choice.mode));
  report.plan = quantized.plan;
  if (common.dry_run) {
    console.print(fmt::format("plan: {}\n{}nothing was written\n", quantized.coverage,
                              exceptions_text(quantized.exceptions, 12)));
    record_steps(pipeline, report);
    console.deliver(to_json(report), common);
    return 0;
  }
  std::optional<HeldTarget> target;
  if (!options.max_drop.empty() || !options.eval_command.empty()) {
    const bool onnx = report.model->format == "onnx";
    const std::string path = onnx ? std::filesystem::absolute(options.model).string() : "";
    target = hold_max_drop(job, deciding_metric(job, simplified, path), quantized);
    report.plan = quantized.plan;
    writing_best = target->stopped_by.has_value();
  }
  // Of what is written; the layers' forms are known before they are fused.
  if (!writing_best) diagnose_quantized(job, quantized);
  if (options.format == "qoperator" && choice.mode == "static")
    pipeline.run("fuse_qoperators", [&] { return fuse_qoperators(graph); });
  // After insertion: equal scales and zero points are shared, float weights are dead.
  pipeline.run("deduplicate_constants", [&] { return deduplicate_constants(graph); });
  pipeline.run("eliminate_dead_nodes", [&] { return eliminate_dead_nodes(graph); });
  infer_shapes(graph);
  record_steps(pipeline, report);
  const WrittenModel written = write_model_for(model, profile, options.opset, common.output);

  std::optional<Evaluation> evaluation;
  if ((!options.eval.empty() || target) && !writing_best) {
    const Model reread = read_back(written, model);
    evaluation = evaluate_quantized(options, model, simplified, reread.graph, threads, console,
                                    std::move(target));
    report_quality(*evaluation, report);
  }
  check();
  publish_model(written, manifest_of(report, original, graph, quantized, profile), common,
                report);
  if (writing_best)
    throw Error(target->stopped_by->code(), target->stopped_by->id(),
                {target->stopped_by->text().message + "; the best model so far was written",
                 target->stopped_by->text().where, "run it again to search on"});
  model.opset = written.opset;
  model.ir_version = written.ir_version;
  report.model_out = model_facts(common.output, model);
  report.model_out->parent_sha256 = report.model->sha256;

  const Reading peak = peak_resident_bytes();
  report.memory = MemoryFacts{peak.value, peak.value ? "VmHWM" : peak.reason, {}};
  report.run.duration_ns = static_cast<int64_t>(start.seconds() * 1e9);
  report.details["quantize"] = quantized.details;
  report.details["quantize"]["coverage"] = quantized.coverage;
  for (const Console::Warning& warning : console.warnings())
    report.warnings.push_back({warning.code, warning.message, warning.hint});
  const bool missed = evaluation && evaluation->missed;
  report.exit_code = missed ? ExitCode::kGateMissed : ExitCode::kDone;

  console.print(quantize_text(options, report, quantized, evaluation, console));
  console.deliver(to_json(report), common);
  return static_cast<int>(report.exit_code);
}

}  // namespace lathe
