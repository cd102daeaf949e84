// Evaluations of a mixed precision search, kept so that a search that was cut off goes on.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"
#include "quantize/sensitivity/mixed_precision.h"

namespace lathe {

/// "FILE.search.json" of --statistics FILE; empty without.
std::string search_file_of(const std::string& statistics);

/// What `file` holds for this key; empty when there is no file or it is of another search. Throws
/// Error (exit 3) for a file that is none of ours, which must not be overwritten.
std::vector<JudgedNodes> load_search(const std::string& file, const std::string& key,
                                     const Graph& graph);

/// Replaces the file.
void save_search(const std::string& file, const std::string& key, const Graph& graph,
                 const std::vector<JudgedNodes>& judged);

}  // namespace lathe
