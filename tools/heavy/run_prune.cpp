// lathe prune: load, simplify, plan, remove, repair, fine-tune, evaluate, publish.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <optional>

#include "graph/simplify.h"
#include "heavy/commands.h"
#include "heavy/manifest.h"
#include "heavy/model_artifact.h"
#include "heavy/model_data.h"
#include "heavy/pipeline_rows.h"
#include "heavy/prune/latency_figures.h"
#include "heavy/prune/prune_channels.h"
#include "heavy/prune/prune_elements.h"
#include "heavy/prune/size_figures.h"
#include "heavy/refuse_quantized.h"
#include "heavy/stopwatch.h"
#include "heavy/threads.h"
#include "heavy/training/fine_tune.h"
#include "ir/error.h"
#include "model_facts.h"
#include "names/targets.h"
#include "ops/op_row.h"
#include "os/check_output.h"
#include "os/host.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "passes/passes.h"
#include "train/parameters.h"

namespace lathe {
namespace {

void check_files(const PruneOptions& options) {
  const CommonOptions& common = options.common;
  if (common.output.empty() && !common.dry_run)
    throw bad_usage("usage.output", "where should the model go?", "-o", "add -o OUT.onnx");
  check_outputs(planned_files(common), common.force, {options.model, options.data, options.eval});
}

void report_quality(const PruneContext& context, const PruneOutcome& outcome, Report& report) {
  if (outcome.stages.empty()) return;
  const StageFigure& last = outcome.stages.back();
  QualityRow row;
  row.metric = std::string(metric_name(context.metrics->metric()));
  row.before = outcome.stages.front().value;
  row.after = last.value;
  row.drop = last.drop;
  row.samples = last.samples;
  row.reason = "compares with the dense model";
  report.quality.push_back(std::move(row));
}

nlohmann::json manifest_of(const Report& report, const Graph& before, const Graph& after,
                           const PruneOutcome& outcome, const Profile& profile) {
  nlohmann::json manifest =
      manifest_json(report, before, after, profile, target_of(TargetKind::kOnnx).reader);
  manifest["pruned"] = outcome.summary;
  manifest["verified"] = !report.quality.empty() && report.quality[0].after.has_value();
  manifest["verification"] = report.details.value("stages", nlohmann::json());
  if (report.quality.empty()) manifest["verification_reason"] = "no --eval data were given";
  return manifest;
}

std::string quality_text(const PruneContext& context, const PruneOutcome& outcome) {
  if (outcome.stages.empty()) return {};
  const Metric metric = context.metrics->metric();
  const StageFigure& last = outcome.stages.back();
  std::string text = std::string(metric_name(metric)) + " ";
  if (outcome.stages.front().value)
    text += metric_text(metric, outcome.stages.front().value) + " → ";
  return text + metric_text(metric, last.value) + fmt::format(" · {} samples", last.samples);
}

}  // namespace

int run_prune(const PruneOptions& options, Console& console) {
  const CommonOptions& common = options.common;
  const Profile profile = load_profile(common.profile);
  const PruneRequest request = prune_request(options, profile);
  check_files(options);
  // Before the work: where checkpoints go, too.
  if (options.training.epochs > 0 && !common.dry_run)
    check_training(options.training, common.force);
  const Stopwatch start;
  const int threads = use_threads(common);
  Report report = start_report("prune", common);
  report.device_profile = {{"name", profile.name},
                           {"version", profile.version},
                           {"hash", profile.hash},
                           {"isa", profile.cpu.isa}};
  Model model = open_model(options.model, common, console);
  report.model = model_facts(options.model, model);
  refuse_quantized(model.graph,
                   "prune the float model first, then lathe quantize, then lathe compile");
  require_matches(request.nodes, model.graph);
  const Model original = model;
  // Normalizations stay: they are scored, re-estimated and trained; lathe compile folds them.
  Pipeline pipeline(model.graph, {.disabled = {"fuse_batch_norm", "fuse_channel_affine"},
                                  .dump = {},
                                  .check = throw_if_interrupted});
  simplify(model.graph, pipeline);
  // Training gives every reader its own vectors; groups that go meanwhile must know them.
  if (request.schedule) separate_shared_constants(model.graph);

  std::optional<DataSet> data;
  if (!options.data.empty())
    data = open_data_for(options.data, model, request.samples, common, console);
  std::optional<DataSet> training_data;
  if (options.training.epochs > 0)
    training_data = open_data_for(options.data, model, 0, common, console);
  std::optional<StageMetrics> metrics;
  if (!options.eval.empty()) {
    DataSet eval = open_data_for(options.eval, model, 0, common, console);
    const Metric metric = choose_metric(options.metric, eval.has_labels());
    metrics.emplace(model.graph, std::move(eval), metric, threads, console);
  }
  const PruneContext context{options,
                             request,
                             profile,
                             model,
                             data ? &*data : nullptr,
                             training_data ? &*training_data : nullptr,
                             metrics ? &*metrics : nullptr,
                             threads,
                             console};
  PruneOutcome outcome = request.removes() ? prune_channels(context) : prune_elements(context);
  report.plan = outcome.plan;
  report.details["notes"] = outcome.notes;
  if (!outcome.sensitivity.is_null()) report.details["sensitivity"] = outcome.sensitivity;
  if (common.dry_run) {
    record_steps(pipeline, report);
    console.print("plan: " + outcome.summary + "\n" + outcome.plan_lines +
                  "no model was written\n");
    console.deliver(to_json(report), common);
    return 0;
  }

  Model pruned = model;
  pruned.graph = std::move(outcome.graph);
  for (const auto& [key, value] : outcome.metadata) pruned.metadata[key] = value;
  Pipeline finish(pruned.graph, {.disabled = {}, .dump = {}, .check = throw_if_interrupted});
  // Masked weights may become equal; they are not fewer for that.
  if (request.removes())
    finish.run("deduplicate_constants", [&] { return deduplicate_constants(pruned.graph); });
  finish.run("eliminate_dead_nodes", [&] { return eliminate_dead_nodes(pruned.graph); });
  infer_shapes(pruned.graph);
  record_steps(pipeline, report);
  record_steps(finish, report);
  const WrittenModel written = write_model_for(pruned, profile, options.opset, common.output);
  throw_if_interrupted();
  if (metrics) report.details["stages"] = stages_json(metrics->metric(), outcome.stages);
  if (!outcome.repair.empty()) report.details["repair"] = repair_json(outcome.repair);
  if (!outcome.training.is_null()) report.details["training"] = outcome.training;
  report_quality(context, outcome, report);
  publish_model(written, manifest_of(report, original.graph, pruned.graph, outcome, profile),
                common, report);
  pruned.opset = written.opset;
  pruned.ir_version = written.ir_version;
  report.model_out = model_facts(common.output, pruned);
  report.model_out->parent_sha256 = report.model->sha256;
  const SizeFigures before =
      size_figures(options.model, *report.model, original.graph, profile, console);
  const SizeFigures after =
      size_figures(common.output, *report.model_out, pruned.graph, profile, console);
  report.details["sizes"] = sizes_json(before, after);
  std::vector<LatencyRow> latencies;
  if (request.removes() && outcome.removed > 0 && options.latency != "off") {
    LatencyOptions measure;
    measure.threads = threads;
    measure.seed = common.seed;
    try {
      const std::vector<Tensor> sample =
          latency_sample(data ? &*data : nullptr, model, common, console);
      latencies = latency_figures(context.dense(), pruned.graph, sample, profile, measure, console);
    } catch (const Error& error) {
      // The model is written; what it is timed on may not be known.
      if (error.code() == ExitCode::kInterrupted || error.code() == ExitCode::kTerminated) throw;
      outcome.notes.push_back(std::string("not timed: ") + error.what());
      report.details["notes"] = outcome.notes;
    }
    report.details["latency"] = latency_json(latencies);
  }

  const Reading peak = peak_resident_bytes();
  report.memory = MemoryFacts{peak.value, peak.value ? "VmHWM" : peak.reason, {}};
  report.run.duration_ns = static_cast<int64_t>(start.seconds() * 1e9);
  const bool missed = request.max_drop && !outcome.stages.empty() &&
                      outcome.stages.back().drop.value_or(INFINITY) > *request.max_drop;
  report.exit_code = missed ? ExitCode::kGateMissed : ExitCode::kDone;

  std::string text = missed ? console.bad("FAIL --max-drop " + options.max_drop + " missed")
                            : console.good("pruned");
  text += fmt::format(": {}  {} ({} of {})\n", common.output, bytes_text(after.file_bytes),
                      size_left_text(before.file_bytes, after.file_bytes),
                      bytes_text(before.file_bytes));
  text += outcome.summary;
  if (const std::string quality = quality_text(context, outcome); !quality.empty())
    text += " · " + quality;
  text += "\n";
  if (!outcome.stages.empty())
    text += "\n" + table(stages_table(metrics->metric(), outcome.stages));
  text += "\n" + table(sizes_table(before, after));
  if (!latencies.empty()) text += "\n" + table(latency_table(latencies));
  if (outcome.table.size() > 1) text += "\n" + table(outcome.table);
  if (!outcome.exceptions.empty()) text += "\nleft alone\n" + outcome.exceptions;
  for (const std::string& note : outcome.notes) text += "\nnote: " + note;
  if (!outcome.notes.empty()) text += "\n";
  if (options.data.empty() && outcome.removed > 0)
    text += "\nhint: --data DATA (1,000 samples, no labels) repairs what was lost";
  if (options.eval.empty()) text += "\nhint: --eval DATA reports what it cost in accuracy";
  if (options.data.empty() || options.eval.empty()) text += "\n";
  console.print(text);
  console.deliver(to_json(report), common);
  return static_cast<int>(report.exit_code);
}

}  // namespace lathe
