// Node events as ONNX Runtime's profile writes them.
#pragma once

#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "run/node_observer.h"
#include "tracing/trace.h"

namespace lathe {

/// One label for each node of the graph: category "Node", name "NODE_kernel_time", args op_name,
/// provider ("CPUExecutionProvider": the summarisers know no other word for a CPU), engine,
/// exec_plan_index, node_index, activation_size, parameter_size, output_size (bytes, as text),
/// input_type_shape and output_type_shape. Indexed by NodeId::index; sizes that depend on the
/// input are those of batch 1 unless `graph` was given its input shapes (with_input_shapes).
std::vector<TraceLabel> trace_node_labels(Trace& trace, const Graph& graph,
                                          std::string_view engine);

/// For Engine::observe and RunOptions::on_node: records each node on `thread`, which must be the
/// one that executes. Costs one reading of the clock a node.
NodeObserver trace_nodes(Trace& trace, TraceThread& thread, const Graph& graph,
                         std::string_view engine);

}  // namespace lathe
