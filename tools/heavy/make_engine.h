// --engine NAME -> an engine for a model.
#pragma once

#include <memory>
#include <string>

#include "artifact/plan_file.h"
#include "ir/model.h"
#include "options.h"
#include "profiles/profile.h"
#include "run/engine.h"

namespace lathe {

/// `name`: native, interpreter or torchscript. `path` is the model's file: a TorchScript file
/// itself is run with --trust, else what is traced from the graph. `plan`: of a .lathe file, whose
/// graph the model then is. Throws Error as the engines' constructors do; exit 2 where an engine
/// cannot run a plan. `code`: of an emulated board.
std::unique_ptr<Engine> make_engine(const std::string& name, const std::string& path,
                                    const Model& model, const std::shared_ptr<const PlanFile>& plan,
                                    const Profile& profile, const CommonOptions& common,
                                    const CodeOptions& code = {});

/// lathe's own engine, with the arithmetic that the profile allows.
std::unique_ptr<Engine> make_native_engine(const Graph& graph, const Profile& profile);

}  // namespace lathe
