// .lathe files on the disk.
#pragma once

#include <string>

#include "artifact/plan_file.h"

namespace lathe {

/// By its first bytes. Throws Error as InputFile.
bool is_plan_file(const std::string& path);

/// Maps the file: constants stay in it. Throws Error as map_file and read_plan_file.
PlanFile open_plan_file(const std::string& path);

}  // namespace lathe
