// lathe-runner for another machine.
#pragma once

#include <functional>
#include <string>

namespace lathe {

/// The path of lathe-runner for an architecture as `uname -m` names it.
using FindRunner = std::function<std::string(const std::string& arch)>;

/// `given`, or where it is empty lathe's own: beside its binary (lathe-runner-ARCH), in
/// ../lib/lathe, or in the build folder of the preset of that name. Throws Error (exit 6) where
/// there is none.
FindRunner runner_finder(std::string given);

/// The program. Throws Error: 6 for an architecture that has none and a file for another one; as
/// read_file does.
std::string runner_bytes(const FindRunner& find_runner, const std::string& arch);

}  // namespace lathe
