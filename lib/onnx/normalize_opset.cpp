#include "onnx/normalize_opset.h"

#include "ir/error.h"
#include "onnx/normalize_rules.h"

namespace lathe {
namespace {

void normalize_node(const NodeEdit& edit) {
  if (edit.opset < 6) edit.attributes().erase("consumed_inputs");
  const OpKind kind = edit.node().kind;
  if (normalize_removed_op(edit)) return;
  for (const auto rules : {input_rules(), legacy_rules(), norm_rules()}) {
    for (const NormalizeRule& rule : rules) {
      if (rule.kind != kind || edit.opset >= rule.below) continue;
      return rule.apply(edit);
    }
  }
}

void normalize_graph(Graph& graph, int64_t opset) {
  for (const NodeId id : graph.order()) {
    const std::string name = graph.node(id).name;
    try {
      for (Subgraph& subgraph : graph.edit(id).subgraphs) normalize_graph(subgraph.graph(), opset);
      normalize_node({graph, id, opset});
    } catch (const Error& error) {
      throw error.within("node " + escape_untrusted(name));
    }
  }
}

}  // namespace

void normalize_opset(Model& model) { normalize_graph(model.graph, model.opset); }

}  // namespace lathe
