// lathe inspect: what a model is, without running it.
#include "artifact/open_plan.h"
#include "artifact/plan_graph.h"
#include "command_run.h"
#include "commands.h"
#include "commands/inspect/inspect_plan.h"
#include "commands/inspect/inspect_text.h"
#include "commands/inspect/show_manifest.h"
#include "fit_report.h"
#include "model_facts.h"
#include "open_model.h"

namespace lathe {
namespace {

FitFile fit_file(const Model& model, const ModelFacts& facts) {
  FitFile file;
  file.opset = facts.opset;
  if (facts.opset) file.ir = model.ir_version;
  return file;
}

void inspect_model(const InspectOptions& options, CommandRun& run) {
  Model model = open_unchecked_model(options.model, run.common, run.console);
  InspectFacts facts;
  try {
    run.report.model = model_facts(options.model, model);
    facts = inspect_graph(model.graph, run.profile);
  } catch (const Error& error) {
    throw error.within(options.model);
  }
  const bool all = run.common.verbosity > 0;
  const Fit fit = note_fit(run, model.graph, fit_file(model, *run.report.model));
  const std::vector<TargetFigure> targets =
      target_figures(model.graph, facts, run.report.model->file_bytes, fit, run.profile);
  run.console.print(
      inspect_text(model, *run.report.model, facts, fit, targets, run.profile, all, run.console));
  run.report.details["inspect"] = inspect_json(model, facts, run.profile, all);
  run.report.details["inspect"]["targets"] = target_json(targets);
}

void inspect_plan(const InspectOptions& options, CommandRun& run) {
  const auto file = std::make_shared<const PlanFile>(open_plan_file(options.model));
  Model model;
  model.graph = plan_graph(file);
  run.report.model = model_facts(options.model, model);
  run.console.print(
      plan_text(*file, model.graph, *run.report.model, run.common.verbosity > 0, run.console));
  run.report.details["plan"] = plan_json(*file, model.graph);
  const FitFile sizes = fit_file_of(*file, run.report.model->file_bytes);
  run.fit_text =
      "\n" + table(fit_rows(note_fit(run, model.graph, sizes), run.profile, run.console));
}

}  // namespace

int run_inspect(const InspectOptions& options, Console& console) {
  CommandRun run = begin_run("inspect", options.common, console);
  if (is_plan_file(options.model))
    inspect_plan(options, run);
  else
    inspect_model(options, run);
  if (const auto manifest = manifest_beside(options.model, run.report.model->sha256)) {
    console.print("\n" + table(manifest_rows(*manifest)));
    run.report.details["manifest"] = manifest_section(*manifest);
  }
  return finish_run(run);
}

}  // namespace lathe
