// Which lathe-runner goes to another machine.
#pragma once

#include <functional>
#include <string>

namespace lathe {

/// The file of a static lathe-runner for `arch` (as uname -m names it). Throws Error (exit 6) where
/// there is none.
using FindRunner = std::function<std::string(const std::string& arch)>;

/// `given`, whatever it is for; where that is empty, lathe-runner-ARCH beside this program, in
/// ../lib/lathe or, in a build tree, that of the preset for ARCH.
FindRunner runner_finder(std::string given);

}  // namespace lathe
