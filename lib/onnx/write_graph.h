// Graph -> GraphProto, for a graph that already has the form of the opset to be written.
#pragma once

#include <onnx/onnx_pb.h>

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "ir/graph.h"

namespace lathe {

/// Names as written, by value index. Those of a subgraph differ from Value::name where a captured
/// value has another name outside, or where a name would hide one of an enclosing graph.
using WrittenNames = std::unordered_map<int32_t, std::string>;

WrittenNames top_level_names(const Graph& graph);

/// Nodes, inputs, outputs and types of the graph; subgraphs with everything; the graph's own
/// constants are left to the caller.
onnx::GraphProto write_graph_without_constants(const Graph& graph, const WrittenNames& names);

onnx::TypeProto write_type(const ValueType& type);

}  // namespace lathe
