// lathe quantize: load, simplify, calibrate, plan, insert, evaluate, publish.
#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "calibration/calibrate.h"
#include "heavy/commands.h"
#include "heavy/error_rows.h"
#include "heavy/integer_rules.h"
#include "heavy/manifest.h"
#include "heavy/model_artifact.h"
#include "heavy/model_data.h"
#include "heavy/pipeline_rows.h"
#include "heavy/quantize_report.h"
#include "heavy/stopwatch.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "model_facts.h"
#include "ops/op_row.h"
#include "os/check_output.h"
#include "os/host.h"
#include "os/publish.h"
#include "os/quantity.h"
#include "os/read_file.h"
#include "os/signals.h"
#include "passes/passes.h"
#include "simplify/simplify.h"

namespace lathe {
namespace {

constexpr int64_t kMaxStatisticsBytes = int64_t{1} << 30;

void check_usage(const QuantizeOptions& options) {
  const CommonOptions& common = options.common;
  const bool saved = !options.statistics.empty() && std::filesystem::exists(options.statistics);
  if (options.data.empty() && !saved)
    throw bad_usage("usage.data", "static quantization needs calibration data", "--data",
                    "give --data PICTURES, or --data random to try it out");
  if (common.output.empty() && !common.dry_run)
    throw bad_usage("usage.output", "where should the model go?", "-o", "add -o OUT.onnx");
  if (!options.max_drop.empty() && options.eval.empty())
    throw bad_usage("usage.eval", "--max-drop needs --eval DATA", "--max-drop");
  if (!options.max_drop.empty() && options.metric == "sqnr")
    throw bad_usage("usage.metric", "sqnr has no float value to fall from", "--max-drop",
                    "use another --metric, or lathe compare --min-sqnr");
  require_onnx_name(common.output);
  std::vector<std::string> outputs;
  if (!common.output.empty() && !common.dry_run) {
    outputs.push_back(common.output);
    outputs.push_back(common.output + ".manifest.json");
  }
  if (!common.report.empty()) outputs.push_back(common.report);
  if (!options.statistics.empty() && !saved && !common.dry_run)
    outputs.push_back(options.statistics);
  check_outputs(outputs, common.force, {options.model, options.data, options.eval});
}

Statistics obtain_statistics(const QuantizeOptions& options, const Model& model,
                             const PrecisionPlan& selection, int threads, Console& console) {
  const std::string& file = options.statistics;
  if (!file.empty() && std::filesystem::exists(file)) {
    console.detail("statistics read from " + file);
    return load_statistics(read_file(file, kMaxStatisticsBytes), file);
  }
  const int64_t samples = options.samples.value_or(options.data == "random" ? 16 : 256);
  const DataSet data = open_data_for(options.data, model, samples, options.common, console);
  const Interpreter interpreter(model.graph);
  Statistics statistics =
      calibrate(interpreter, calibration_targets(model.graph, selection), sample_source(data),
                sample_run(threads, console, "calibrating", data.size()));
  if (!file.empty() && !options.common.dry_run)
    publish_file(file, save_statistics(statistics), false);
  return statistics;
}

struct Evaluation {
  CompareResult result;
  Metric metric = Metric::kAgreement;
  std::optional<double> drop;
  bool missed = false;
};

Evaluation evaluate(const QuantizeOptions& options, const Model& model, const Graph& before,
                    const Graph& after, int threads, Console& console) {
  const DataSet data = open_data_for(options.eval, model, 0, options.common, console);
  Evaluation evaluation;
  evaluation.metric = choose_metric(options.metric, data.has_labels());
  CompareOptions compare;
  compare.metrics.push_back(evaluation.metric);
  if (evaluation.metric != Metric::kAgreement) compare.metrics.push_back(Metric::kAgreement);
  compare.labels = label_source(data);
  compare.run = sample_run(threads, console, "evaluating", data.size());
  evaluation.result =
      compare_graphs(Interpreter(before), Interpreter(after), sample_source(data), compare);
  const MetricPair& pair = evaluation.result.metrics[0];
  // Metrics against the float model have their perfect value as "before".
  const double before_value =
      pair.before.value_or(evaluation.metric == Metric::kAgreement ? 1.0 : 0.0);
  if (pair.after && evaluation.metric != Metric::kSqnr)
    evaluation.drop = metric_drop(evaluation.metric, before_value, *pair.after);
  if (!options.max_drop.empty()) {
    const double allowed = parse_fraction(options.max_drop, "--max-drop");
    evaluation.missed = !evaluation.drop || *evaluation.drop > allowed;
  }
  return evaluation;
}

void report_quality(const Evaluation& evaluation, Report& report) {
  for (const MetricPair& pair : evaluation.result.metrics) {
    QualityRow row;
    row.metric = std::string(metric_name(pair.metric));
    row.before = pair.before;
    if (pair.after && std::isfinite(*pair.after)) row.after = pair.after;
    if (pair.metric == evaluation.metric) row.drop = evaluation.drop;
    row.samples = pair.items;
    row.reason = "compares with the float model";
    report.quality.push_back(row);
  }
  report.details["error_by_value"] = {{"outputs", error_rows(evaluation.result.outputs)},
                                      {"layers", error_rows(evaluation.result.layers)},
                                      {"samples", evaluation.result.samples}};
}

std::string quality_text(const Evaluation& evaluation) {
  std::string text;
  for (const MetricPair& pair : evaluation.result.metrics) {
    if (!text.empty()) text += " · ";
    text += std::string(metric_name(pair.metric)) + " ";
    if (pair.before) text += metric_text(pair.metric, pair.before) + " → ";
    text += metric_text(pair.metric, pair.after);
    if (pair.before && pair.metric == evaluation.metric && evaluation.drop)
      text += fmt::format(" ({:+.1f} points)", 0.0 - 100 * *evaluation.drop);
  }
  if (!evaluation.result.outputs.empty())
    text += " · output SQNR " + decibel_text(evaluation.result.outputs[0].sums.sqnr_db());
  return text + fmt::format(" · {} samples", evaluation.result.samples);
}

nlohmann::json manifest_of(const Report& report, const Graph& before, const Graph& simplified,
                           const Graph& after, const PrecisionPlan& plan, const Profile& profile) {
  nlohmann::json manifest = manifest_json(report, before, after, profile, "onnxruntime");
  manifest["precision"] = coverage_text(simplified, plan);
  manifest["verified"] = !report.quality.empty();
  if (report.quality.empty()) {
    manifest["verification"] = nullptr;
    manifest["verification_reason"] = "no --eval data were given";
  } else {
    nlohmann::json rows = nlohmann::json::array();
    for (const QualityRow& row : report.quality) {
      nlohmann::json entry = {{"metric", row.metric}, {"samples", row.samples}};
      put_or_reason(entry, "before", row.before, row.reason);
      put_or_reason(entry, "after", row.after, row.reason);
      rows.push_back(std::move(entry));
    }
    manifest["verification"] = std::move(rows);
  }
  return manifest;
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
  Pipeline pipeline(graph, {.disabled = {}, .dump = {}, .check = throw_if_interrupted});
  pipeline.run("widen_float16", [&] { return widen_float16(graph); });
  simplify(graph, pipeline);
  const Graph simplified = graph;

  const IntegerRules rules = integer_rules(profile, options, graph);
  PrecisionPlan plan = select_nodes(graph, rules);
  if (plan.nodes.empty())
    console.warn(
        "quantize.nothing", "no node of this model can become integer",
        "already quantized models and models without Conv, Gemm or MatMul stay as they are");
  const Stopwatch calibration_start;
  if (!plan.nodes.empty()) {
    const Statistics statistics = obtain_statistics(options, model, plan, threads, console);
    plan = plan_precision(graph, rules, std::move(plan), statistics,
                          *observer_from_name(options.observer));
    if (!common.dry_run)
      pipeline.run("correct_bias", [&] { return correct_bias(graph, plan, statistics); });
  }
  const double calibration_s = calibration_start.seconds();
  report.plan = plan_section(graph, plan);
  const std::string coverage = coverage_text(graph, plan);
  if (common.dry_run) {
    console.print(
        fmt::format("plan: {}\n{}nothing was written\n", coverage, exceptions_text(plan, 12)));
    record_steps(pipeline, report);
    console.deliver(to_json(report), common);
    return 0;
  }

  pipeline.run("insert_qdq", [&] { return insert_qdq(graph, plan); });
  // After insertion: equal scales and zero points are shared, float weights are dead.
  pipeline.run("deduplicate_constants", [&] { return deduplicate_constants(graph); });
  pipeline.run("eliminate_dead_nodes", [&] { return eliminate_dead_nodes(graph); });
  infer_shapes(graph);
  record_steps(pipeline, report);
  const WrittenModel written = write_model_for(model, profile, options.opset, common.output);

  std::optional<Evaluation> evaluation;
  if (!options.eval.empty()) {
    const Model reread = read_back(written, model);
    evaluation = evaluate(options, model, simplified, reread.graph, threads, console);
    report_quality(*evaluation, report);
  }
  throw_if_interrupted();
  publish_model(written, manifest_of(report, original, simplified, graph, plan, profile), common,
                report);
  model.opset = written.opset;
  model.ir_version = written.ir_version;
  report.model_out = model_facts(common.output, model);
  report.model_out->parent_sha256 = report.model->sha256;

  const Reading peak = peak_resident_bytes();
  report.memory = MemoryFacts{peak.value, peak.value ? "VmHWM" : peak.reason, {}};
  report.run.duration_ns = static_cast<int64_t>(start.seconds() * 1e9);
  report.details["quantize"] = {
      {"calibration_s", calibration_s}, {"observer", options.observer}, {"coverage", coverage}};
  for (const Console::Warning& warning : console.warnings())
    report.warnings.push_back({warning.code, warning.message, warning.hint});
  const bool missed = evaluation && evaluation->missed;
  report.exit_code = missed ? ExitCode::kGateMissed : ExitCode::kDone;

  const int64_t before_bytes = report.model->file_bytes;
  const int64_t after_bytes = report.model_out->file_bytes;
  std::string text = missed ? console.bad("FAIL --max-drop " + options.max_drop + " missed")
                     : plan.nodes.empty() ? console.bold("nothing quantized, copy written")
                                          : console.good("int8 model written");
  text += fmt::format(": {}  {} ({} of {})\n", common.output, bytes_text(after_bytes),
                      size_left_text(before_bytes, after_bytes), bytes_text(before_bytes));
  if (evaluation) text += quality_text(*evaluation) + "\n";
  text += "\n" + table({{"precision", coverage},
                        {"opset", report.model->opset ? fmt::format("{} (was {})", written.opset,
                                                                    *report.model->opset)
                                                      : std::to_string(written.opset)},
                        {"calibration",
                         fmt::format("{:.1f} s of {:.1f} s", calibration_s, start.seconds())},
                        {"peak memory", peak.value ? bytes_text(*peak.value) : "not known"}});
  if (evaluation && !evaluation->result.layers.empty())
    text += "\nworst layers\n" + table(error_table(evaluation->result.layers, 5));
  if (!plan.exceptions.empty()) text += "\nleft in float\n" + exceptions_text(plan, 5);
  if (!evaluation) text += "\nhint: --eval DATA reports what it cost in accuracy\n";
  console.print(text);
  console.deliver(to_json(report), common);
  return static_cast<int>(report.exit_code);
}

}  // namespace lathe
