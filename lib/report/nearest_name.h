// "Did you mean …?": the known name that is nearest to one that nobody knows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`, case ignored for
/// ASCII letters; '-' and '_' are the same. O(|a|·|b|): for names, not for documents.
size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate with the smallest distance, the first of equals; empty when none is near (more
/// than a third of the name's letters wrong, and neither begins with the other) or the name is
/// longer than 100 bytes.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

/// "did you mean X?" with the nearest candidate; else "one of: a, b, c" (at most 20 of them).
std::string name_hint(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace lathe
