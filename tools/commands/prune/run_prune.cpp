// lathe prune: load, simplify, plan, remove, repair, fine-tune, evaluate, publish.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <optional>

#include "command_run.h"
#include "commands/prune/latency_figures.h"
#include "commands/prune/prune_channels.h"
#include "commands/prune/prune_elements.h"
#include "commands/prune/size_figures.h"
#include "commands/training/fine_tune.h"
#include "graph/simplify.h"
#include "heavy/commands.h"
#include "heavy/manifest.h"
#include "heavy/model_artifact.h"
#include "heavy/model_data.h"
#include "heavy/pipeline_rows.h"
#include "heavy/refuse_quantized.h"
#include "heavy/threads.h"
#include "ir/error.h"
#include "model_facts.h"
#include "ops/op_row.h"
#include "os/quantity.h"
#include "os/signals.h"
#include "passes/passes.h"
#include "train/parameters.h"

namespace lathe {
namespace {

nlohmann::json manifest_of(const CommandRun& run, const Graph& before, const Graph& after,
                           const PruneOutcome& outcome) {
  nlohmann::json manifest = manifest_json(run, before, after);
  manifest["pruned"] = outcome.summary;
  add_stages(run.report, manifest);
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
  CommandRun run = begin_run("prune", common, console);
  const Profile& profile = run.profile;
  Report& report = run.report;
  const PruneRequest request = prune_request(options, profile);
  require_output(common, "model", "OUT.onnx");
  check_files(common, planned_files(common), {options.model, options.data, options.eval});
  // Before the work: where checkpoints go, too.
  if (options.training.epochs > 0 && !common.dry_run)
    check_training(options.training, common.force);
  const int threads = use_threads(common);
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
    return finish_run(
        run, "plan: " + outcome.summary + "\n" + outcome.plan_lines + "no model was written\n");
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
  if (!outcome.stages.empty())
    report_stages(metrics->metric(), outcome.stages, outcome.stages.back(), "the dense model",
                  report);
  if (!outcome.repair.empty()) report.details["repair"] = repair_json(outcome.repair);
  if (!outcome.training.is_null()) report.details["training"] = outcome.training;
  publish_model(written, manifest_of(run, original.graph, pruned.graph, outcome), common.output,
                common.force, report);
  note_output(run, pruned, written);
  const SizeFigures before =
      size_figures(options.model, *report.model, original.graph, profile, console);
  const SizeFigures after =
      size_figures(common.output, *report.model_out, pruned.graph, profile, console);
  report.details["sizes"] = sizes_json(before, after);
  std::vector<LatencyRow> latencies;
  if (request.removes() && outcome.removed > 0 && options.latency != "off")
    latencies = report_latency(run, context.dense(), pruned.graph, context.data, model, threads,
                               outcome.notes);
  report.details["notes"] = outcome.notes;
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
  return finish_run(run, text);
}

}  // namespace lathe
