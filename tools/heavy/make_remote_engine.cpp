#include "heavy/make_remote_engine.h"

#include "engine/native_plan_file.h"
#include "heavy/compile_target.h"
#include "heavy/specialize_graph.h"
#include "ir/error.h"
#include "names/engines.h"

namespace lathe {
namespace {

int64_t batch_of(const Graph& graph, const std::vector<Shape>& shapes) {
  for (size_t i = 0; i < shapes.size(); ++i) {
    const auto& dims = graph.value(graph.inputs()[i]).type.dims;
    if (dims && !dims->empty() && !dims->front().known()) return shapes[i].front();
  }
  return 1;
}

}  // namespace

RemoteEngine::Plan plan_for_shapes(const Graph& graph, const std::shared_ptr<const PlanFile>& file,
                                   const Profile& profile, const std::vector<Shape>& shapes) {
  if (file) return {write_plan_file(*file), batch_of(graph, shapes)};
  const Graph fixed = specialized(graph, shapes);
  NativePlanFile made = make_plan_file(
      fixed, [&](const std::vector<Shape>& other) { return specialized(fixed, other); },
      lower_options(profile));
  if (const std::string left = ops_left(made.file); !left.empty())
    throw bad_environment("bench.deployed",
                          "the run time alone does not run it: no native kernel for " + left, {},
                          "without --remote, lathe's interpreter runs these nodes");
  made.file.metadata.execution = execution_of(profile, made.file.plan);
  return {write_plan_file(made.file), 1};
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
