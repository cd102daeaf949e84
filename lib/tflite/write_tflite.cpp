#include "tflite/write_tflite.h"

#include <fmt/format.h>

#include <map>

#include "ir/error.h"
#include "tflite/graph_writer.h"
#include "tflite/node_writers.h"

namespace lathe {
namespace {

const std::map<OpKind, void (*)(GraphWriter&, const Node&)>& writers() {
  static const auto all = [] {
    std::map<OpKind, void (*)(GraphWriter&, const Node&)> table;
    for (const auto family :
         {image_writers(), product_writers(), elementwise_writers(), movement_writers(),
          reduction_writers(), recurrent_writers()})
      for (const NodeWriter& writer : family) table[writer.kind] = writer.write;
    return table;
  }();
  return all;
}

bool has_writer(OpKind kind) {
  return kind == OpKind::kQuantizeLinear || kind == OpKind::kDequantizeLinear ||
         writers().contains(kind);
}

// Throws Error that names all ops without a writer, and the first node of them.
void require_writers(const Graph& graph) {
  std::map<std::string, int> missing;
  std::string first;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (has_writer(node.kind)) continue;
    if (missing.empty()) first = "node " + escape_untrusted(node.name, 60);
    ++missing[escape_untrusted(node.type_name(), 60)];
  }
  if (missing.empty()) return;
  std::string ops;
  for (const auto& [op, count] : missing)
    ops += fmt::format("{}{}{}", ops.empty() ? "" : ", ", op,
                       count > 1 ? fmt::format(" ({} times)", count) : "");
  throw no_tflite_form("lathe writes no TensorFlow Lite form of " + ops).within(first);
}

void write_node(GraphWriter& writer, NodeId id) {
  const Node& node = writer.graph.node(id);
  if (node.kind == OpKind::kQuantizeLinear)
    writer.quantize(id);
  else if (node.kind == OpKind::kDequantizeLinear)
    writer.alias(node);
  else
    writers().at(node.kind)(writer, node);
}

}  // namespace

TfliteFile write_tflite(const Graph& graph, const TfliteOptions& options) {
  require_writers(graph);
  GraphWriter writer(graph);
  writer.keeps_halves = options.float16;
  writer.widens_channels = options.channel_scales;
  for (const ValueId input : graph.inputs()) writer.add_input(input);
  for (const NodeId id : graph.order()) {
    if (writer.is_done(id)) continue;
    try {
      write_node(writer, id);
    } catch (const Error& error) {
      const Node& node = graph.node(id);
      throw error.within(fmt::format("node {} ({})", escape_untrusted(node.name, 60),
                                     escape_untrusted(node.type_name(), 60)));
    }
  }
  for (const ValueId output : graph.outputs()) writer.add_output(output);
  TfliteFile made;
  std::vector<std::string> input_names, output_names;
  for (const ValueId input : graph.inputs()) input_names.push_back(graph.value(input).name);
  for (const ValueId output : graph.outputs()) output_names.push_back(graph.value(output).name);
  for (size_t i = 0; i < writer.outputs.size(); ++i)
    writer.file.rename(writer.outputs[i], output_names[i]);
  made.bytes = writer.file.finish(writer.inputs, writer.outputs, input_names, output_names,
                                  options.description);
  made.input_orders = writer.input_orders;
  made.output_orders = writer.output_orders;
  made.operators = writer.file.operator_counts();
  made.in_floats = writer.in_floats;
  made.keeps_state = writer.keeps_state;
  return made;
}

}  // namespace lathe
