// Names in a sentence.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace lathe {

/// "a, b, c and 4 more": the first `most` of them, as they are.
std::string listed(const std::vector<std::string>& names, size_t most);

}  // namespace lathe
