// What a profile's targets ask of a model, and how near it is before anything is run.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "commands/inspect/inspect_graph.h"
#include "profiles/fit.h"

namespace lathe {

/// Latency in ns, throughput in items a second, sizes in bytes.
struct TargetFigure {
  std::string what;  // "latency", "throughput", "file", "RAM"
  std::string unit;  // "ns", "items/s", "bytes"
  std::optional<double> value;
  std::optional<double> limit;
  std::optional<bool> met;
  bool simulated = false;
  std::string reason;  // why there is no value or no limit
  /// What would bring it nearer, estimated: "int8 + half the resolution", the fewest changes that
  /// meet the limit or else all of them.
  std::string change;
  std::optional<double> changed;  // the value then
};

/// `file_bytes`: of the model's file. Half the resolution and half the channels count as a quarter
/// of the arithmetic; a file shrinks as its constants do.
std::vector<TargetFigure> target_figures(const Graph& graph, const InspectFacts& facts,
                                         int64_t file_bytes, const Fit& fit,
                                         const Profile& profile);

nlohmann::json target_json(const std::vector<TargetFigure>& figures);

}  // namespace lathe
