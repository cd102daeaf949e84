// lathe inspect: what a model is, without running it.
#include <chrono>

#include "commands.h"
#include "inspect_text.h"
#include "model_facts.h"
#include "open_model.h"
#include "show_manifest.h"

namespace lathe {

int run_inspect(const InspectOptions& options, Console& console) {
  const auto start = std::chrono::steady_clock::now();
  const CommonOptions& common = options.common;
  const Profile profile = load_profile(common.profile);
  Report report = start_report("inspect", common);
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
  if (const auto manifest = manifest_beside(options.model, report.model->sha256)) {
    console.print("\n" + table(manifest_rows(*manifest)));
    report.details["manifest"] = manifest_section(*manifest);
  }

  report.device_profile = {
      {"name", profile.name}, {"version", profile.version}, {"hash", profile.hash}};
  report.details["inspect"] = inspect_json(model, facts, profile, all);
  for (const Console::Warning& warning : console.warnings())
    report.warnings.push_back({warning.code, warning.message, warning.hint});
  const std::chrono::nanoseconds duration = std::chrono::steady_clock::now() - start;
  report.run.duration_ns = duration.count();
  console.deliver(to_json(report), common);
  return 0;
}

}  // namespace lathe
