#include "tracing/trace_nodes.h"

#include <fmt/format.h>

#include "ir/dtype.h"
#include "tracing/op_profile_cost.h"

namespace lathe {
namespace {

// ONNX Runtime's words: {"float":[1,3,224,224]}.
std::string_view element_word(DType dtype) {
  if (dtype == DType::kFloat32) return "float";
  if (dtype == DType::kFloat64) return "double";
  return dtype == DType::kUndefined ? "undefined" : dtype_name(dtype);
}

std::string shapes_json(const Graph& graph, const std::vector<ValueId>& ids) {
  std::string out = "[";
  for (const ValueId id : ids) {
    if (!id.valid()) continue;
    const ValueType& type = graph.value(id).type;
    if (out.size() > 1) out += ",";
    out += fmt::format("{{\"{}\":[", element_word(type.dtype));
    const Dims dims = type.dims.value_or(Dims{});
    for (size_t i = 0; i < dims.size(); ++i)
      out += fmt::format("{}{}", i == 0 ? "" : ",", dims[i].known() ? dims[i].size : -1);
    out += "]}";
  }
  return out + "]";
}

std::string node_args(const Graph& graph, NodeId id, size_t position, std::string_view engine) {
  const Node& node = graph.node(id);
  const OpCost cost = op_cost(graph, id);
  std::string args = trace_args({{"op_name", std::string(node.type_name())},
                                 {"provider", "CPUExecutionProvider"},
                                 {"engine", std::string(engine)},
                                 {"exec_plan_index", std::to_string(position)},
                                 {"node_index", std::to_string(id.index)},
                                 {"activation_size", std::to_string(cost.activation_bytes)},
                                 {"parameter_size", std::to_string(cost.parameter_bytes)},
                                 {"output_size", std::to_string(cost.output_bytes)},
                                 {"thread_scheduling_stats", ""}});
  args.pop_back();
  return args + ",\"input_type_shape\":" + shapes_json(graph, node.inputs) +
         ",\"output_type_shape\":" + shapes_json(graph, node.outputs) + "}";
}

}  // namespace

std::vector<TraceLabel> trace_node_labels(Trace& trace, const Graph& graph,
                                          std::string_view engine) {
  std::vector<TraceLabel> labels;
  size_t position = 0;
  for (const NodeId id : graph.order()) {
    const auto index = static_cast<size_t>(id.index);
    if (labels.size() <= index) labels.resize(index + 1);
    labels[index] = trace.label(kTraceNode, graph.node(id).name + "_kernel_time",
                                node_args(graph, id, position++, engine));
  }
  return labels;
}

NodeObserver trace_nodes(Trace& trace, TraceThread& thread, const Graph& graph,
                         std::string_view engine) {
  return
      [&thread, labels = trace_node_labels(trace, graph, engine)](NodeId id, int64_t duration_ns) {
        thread.ended(labels[static_cast<size_t>(id.index)], duration_ns);
      };
}

}  // namespace lathe
