// What the search of --max-drop needs of a mode: its layers' part in the error, and the model with
// some of them left in float.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "commands/quantize/quantize_job.h"
#include "ir/graph.h"
#include "quantize/sensitivity/layer_sensitivity.h"
#include "quantize/sensitivity/node_alone.h"

namespace lathe {

/// The exception of every node that a search left in float.
inline constexpr const char* kGivenBack = "given back to float for --max-drop";

/// A model that is quantized but for some layers, with what QuantizedModel tells of it.
struct PartlyQuantized {
  Graph graph;  // as it is written
  std::string coverage;
  nlohmann::json plan;
  std::vector<PlanException> exceptions;
  std::vector<std::pair<std::string, std::string>> rows;  // stand for those of the same name
};

struct LayerSearch {
  Graph reference;      // float; node ids below are its
  std::string kept_in;  // FILE.search.json; empty: evaluations are not kept
  std::function<LayerSensitivity(const QuantizeJob&)> measure;
  /// Layers that may go back, the worst first; all but the last in float is still a quantized
  /// network.
  std::function<std::vector<NodeId>(const LayerSensitivity&)> rank;
  std::function<PartlyQuantized(const std::set<NodeId>& left_in_float)> make;
};

/// Of --data, else of --eval, else random; the first samples.
using SensitivityMeasure =
    std::function<LayerSensitivity(const SampleSource&, const SensitivityOptions&)>;
LayerSensitivity measure_on_samples(const QuantizeJob& job, const SensitivityMeasure& measure);

/// `measure` and `rank` of a mode without calibration: every node of `nodes` is quantized alone by
/// `quantize` (which edits graph, and may set against) and ranked by its share in the outputs'
/// noise, first order, by one streaming pass (quantize/sensitivity/layer_sensitivity.h). Layers are
/// measured with the float network's values: how errors of two layers meet is not in it. If, Loop
/// and Scan are one layer each, with all that they hold.
LayerSearch search_alone(const Graph& reference, std::set<NodeId> nodes,
                         std::function<void(NodeAlone&)> quantize);

/// What follows a mode's edits: constants and nodes that were left behind are dropped, shapes
/// filled in.
void drop_leftovers(Graph& graph);

}  // namespace lathe
