// How big a model is, by every measure that pruning speaks of.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "console.h"
#include "ir/graph.h"
#include "profiles/profile.h"
#include "report/report.h"

namespace lathe {

struct SizeFigures {
  std::optional<int64_t> params;  // as in ModelFacts
  std::optional<int64_t> macs;    // of one inference at batch 1
  int64_t file_bytes = 0;         // with the weights that lie in other files
  /// Of all that deflated as one zlib stream, level 6: what a package or a download takes.
  std::optional<int64_t> compressed_bytes;
  std::string compressed_reason;  // why there are none
  int64_t weights_bytes = 0;
  /// Of the planned arena for the values between the nodes, with the profile's alignment.
  std::optional<int64_t> arena_bytes;
};

/// Of the file at `path` that `facts` and `graph` were read from, or written to. The file is read
/// in pieces; weights that lie in other files are taken from the graph, without the padding between
/// them. More than 1 GiB is not compressed. Throws Error (exit 3) when the file cannot be read,
/// exit 130 or 143 when interrupted.
SizeFigures size_figures(const std::string& path, const ModelFacts& facts, const Graph& graph,
                         const Profile& profile, Console& console);

/// {before, after}, each {params, macs, file_bytes, compressed_bytes, weights_bytes, arena_bytes};
/// null with NAME_reason where something is not known.
nlohmann::json sizes_json(const SizeFigures& before, const SizeFigures& after);

/// Rows for the screen: a heading, then measure, before, after, what is left in percent.
std::vector<std::vector<std::string>> sizes_table(const SizeFigures& before,
                                                  const SizeFigures& after);

}  // namespace lathe
