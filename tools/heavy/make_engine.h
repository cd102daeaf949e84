// --engine NAME -> an engine for a model.
#pragma once

#include <memory>
#include <string>

#include "engine/engine.h"
#include "ir/model.h"
#include "options.h"
#include "profiles/profile.h"

namespace lathe {

/// `name`: auto (the interpreter), interpreter or torchscript. `path` is the model's file: a
/// TorchScript file itself is run with --trust, else what is traced from the graph. Throws Error as
/// the engines' constructors do.
std::unique_ptr<Engine> make_engine(const std::string& name, const std::string& path,
                                    const Model& model, const Profile& profile,
                                    const CommonOptions& common);

}  // namespace lathe
