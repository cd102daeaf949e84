#include "heavy/make_remote_engine.h"

#include "engine/native_plan_file.h"
#include "heavy/compile_target.h"
#include "heavy/specialize_graph.h"
#include "ir/error.h"
#include "names/engines.h"

namespace lathe {
RemoteEngine::Plan plan_for_shapes(const Graph& graph, const std::shared_ptr<const PlanFile>& file,
                                   const Profile& profile, const std::vector<Shape>& shapes) {
  RemoteEngine::Plan plan;
  plan.graph = specialized(graph, shapes);
  if (file) {
    // Any other plan is of the shapes that it is run at.
    if (!shapes.empty() && !shapes[0].empty()) plan.batch = shapes[0][0];
    plan.bytes = write_plan_file(*file);
    return plan;
  }
  NativePlanFile made = make_plan_file(
      plan.graph, [&](const std::vector<Shape>& other) { return specialized(plan.graph, other); },
      lower_options(profile));
  if (!made.file.partitions.empty())
    throw bad_environment("bench.deployed",
                          "some nodes have no native kernel: the run time alone "
                          "does not run it");
  made.file.metadata.execution = execution_of(profile, made.file.plan);
  plan.bytes = write_plan_file(made.file);
  return plan;
}

void require_native_there(const std::string& engine) {
  if (engine != kNativeEngine)
    throw bad_usage("usage.remote", "lathe-runner has the native engine alone",
                    "--engine " + engine, "leave --engine out");
}

std::unique_ptr<RemoteEngine> make_remote_engine(const Graph& graph,
                                                 const std::shared_ptr<const PlanFile>& file,
                                                 const Profile& profile,
                                                 const CommonOptions& common) {
  return std::make_unique<RemoteEngine>(
      std::make_unique<RemoteRunner>(parse_remote(common.remote), runner_finder(common.runner)),
      [graph, file, profile](const std::vector<Shape>& shapes) {
        return plan_for_shapes(graph, file, profile, shapes);
      },
      common.threads);
}

HostFacts remote_host(const std::string& remote, const CommonOptions& common) {
  return RemoteRunner(parse_remote(remote), runner_finder(common.runner)).host();
}

}  // namespace lathe
