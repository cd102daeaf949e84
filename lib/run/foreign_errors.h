// Exceptions of ATen and the standard library, converted where they enter lathe.
#pragma once

#include <string>

namespace lathe {

struct Node;

/// "node conv1 (Conv)"; names from files are escaped.
std::string place_of(const Node& node);

/// To be called in a catch block: rethrows what is in flight as Error with `place` in front.
/// Running out of memory is exit 8, everything else that ATen refuses exit 3. InternalError passes
/// through.
[[noreturn]] void rethrow_foreign(const std::string& place);

}  // namespace lathe
