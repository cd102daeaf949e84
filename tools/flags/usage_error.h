// CLI11's exceptions as lathe's usage errors (exit 2), with the nearest name suggested.
#pragma once

#include <CLI/CLI.hpp>

#include "ir/error.h"

namespace lathe {

Error usage_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace lathe
