// lathe inspect: what a model is, without running it.
#include <chrono>

#include "artifact/open_plan.h"
#include "artifact/plan_graph.h"
#include "commands.h"
#include "inspect_plan.h"
#include "inspect_text.h"
#include "model_facts.h"
#include "open_model.h"
#include "show_manifest.h"

namespace lathe {

namespace {

void inspect_model(const InspectOptions& options, const Profile& profile, Console& console,
                   Report& report) {
  const CommonOptions& common = options.common;
  Model model = open_unchecked_model(options.model, common, console);
  InspectFacts facts;
  try {
    report.model = model_facts(options.model, model);
    facts = inspect_graph(model.graph, profile);
  } catch (const Error& error) {
    throw error.within(options.model);
  }
  const bool all = common.verbosity > 0;
  console.print(inspect_text(model, *report.model, facts, profile, all, console));
  report.details["inspect"] = inspect_json(model, facts, profile, all);
}

void inspect_plan(const InspectOptions& options, Console& console, Report& report) {
  const auto file = std::make_shared<const PlanFile>(open_plan_file(options.model));
  Model model;
  model.graph = plan_graph(file);
  report.model = model_facts(options.model, model);
  console.print(
      plan_text(*file, model.graph, *report.model, options.common.verbosity > 0, console));
  report.details["plan"] = plan_json(*file, model.graph);
}

}  // namespace

int run_inspect(const InspectOptions& options, Console& console) {
  const auto start = std::chrono::steady_clock::now();
  const CommonOptions& common = options.common;
  const Profile profile = load_profile(common.profile);
  Report report = start_report("inspect", common);
  if (is_plan_file(options.model))
    inspect_plan(options, console, report);
  else
    inspect_model(options, profile, console, report);
  if (const auto manifest = manifest_beside(options.model, report.model->sha256)) {
    console.print("\n" + table(manifest_rows(*manifest)));
    report.details["manifest"] = manifest_section(*manifest);
  }

  report.device_profile = {
      {"name", profile.name}, {"version", profile.version}, {"hash", profile.hash}};
  const std::chrono::nanoseconds duration = std::chrono::steady_clock::now() - start;
  report.run.duration_ns = duration.count();
  console.deliver(to_json(report), common);
  return 0;
}

}  // namespace lathe
