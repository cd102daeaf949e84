// --remote HOST -> an engine that runs a native plan there.
#pragma once

#include <memory>
#include <string>

#include "artifact/plan_file.h"
#include "ir/graph.h"
#include "options.h"
#include "os/host.h"
#include "profiles/profile.h"
#include "run/remote_engine.h"

namespace lathe {

/// The file of a plan for inputs of these shapes, which `graph` gets; of a plan file, the file
/// itself. Throws Error (exit 6) where some nodes have no native kernel: the run time alone does
/// not run them.
RemoteEngine::Plan plan_for_shapes(const Graph& graph, const std::shared_ptr<const PlanFile>& file,
                                   const Profile& profile, const std::vector<Shape>& shapes);

/// Throws Error (exit 2) for another engine than lathe-runner has.
void require_native_there(const std::string& engine);

/// `common.remote`: where; throws Error as RemoteRunner does. `common.runner`: lathe-runner for
/// there, as runner_finder() takes it.
std::unique_ptr<RemoteEngine> make_remote_engine(const Graph& graph,
                                                 const std::shared_ptr<const PlanFile>& file,
                                                 const Profile& profile,
                                                 const CommonOptions& common);

/// What the machine says of itself.
HostFacts remote_host(const std::string& remote, const CommonOptions& common);

}  // namespace lathe
