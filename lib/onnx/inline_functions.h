// A model's local functions, put in place of the nodes that call them.
#pragma once

#include <onnx/onnx_pb.h>

#include "ir/model.h"
#include "onnx/read_graph.h"

namespace lathe {

/// The functions by key. Throws Error: exit 3 for a function without name, twice, or that calls
/// itself through whatever way (subgraphs included); exit 8 for more than options.max_functions, or
/// calls nested deeper than options.max_function_depth.
Functions collect_functions(const onnx::ModelProto& proto, const ReadOptions& options);

/// Replaces every node of kCallDomain in model.graph, at any depth, by its function's body: the
/// body is read, normalised under the function's own opset and copied in; its values and nodes are
/// named
/// "<call>/<name>", outputs keep the call's names. References to attributes take the call's, else
/// the function's default, else the attribute is left out. model.graph is normalised before. Throws
/// Error: exit 3 for too many inputs or outputs; exit 8 when the memory budget is used up.
void inline_functions(Model& model, GraphReading& reading);

}  // namespace lathe
