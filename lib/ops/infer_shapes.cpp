#include <fmt/format.h>

#include "ops/dim_math.h"
#include "ops/infer_control_flow.h"
#include "ops/op_row.h"
#include "ops/propagate_elements.h"
#include "ops/shape_rules.h"

namespace lathe {
namespace {

// Inside the graph a rule's size or symbol wins, since declarations may be older than an edit.
Dim merged_inside(const Dim& declared, const Dim& inferred) {
  return inferred.known() || !inferred.symbol.empty() ? inferred : declared;
}

// At a graph output a declared size is a promise to the caller and a declared symbol its name.
Dim merged_output(const Dim& declared, const Dim& inferred) {
  if (declared.known()) return declared;
  return inferred.known() || declared.symbol.empty() ? inferred : declared;
}

void merge(ValueType& declared, ValueType inferred, bool graph_output) {
  if (!inferred.is_tensor()) {
    declared = std::move(inferred);
    return;
  }
  if (inferred.dtype == DType::kUndefined && !inferred.dims) return;
  if (!declared.is_tensor()) declared = {};
  if (inferred.dtype != DType::kUndefined) declared.dtype = inferred.dtype;
  if (!inferred.dims) return;
  if (!declared.dims) {
    declared.dims = std::move(inferred.dims);
    return;
  }
  if (declared.dims->size() != inferred.dims->size()) {
    if (!graph_output) declared.dims = std::move(inferred.dims);
    return;
  }
  for (size_t i = 0; i < declared.dims->size(); ++i) {
    Dim& dim = (*declared.dims)[i];
    const Dim& rule = (*inferred.dims)[i];
    dim = graph_output ? merged_output(dim, rule) : merged_inside(dim, rule);
  }
}

/// The kind's row, or that of an opaque node that lathe knows all the same.
const OpRow& row_of(const Node& node) {
  static constexpr OpRow kDynamicLstm{
      .min_inputs = 3, .max_inputs = 12, .max_outputs = 3, .shape = shape_rule::dynamic_lstm};
  if (node.kind == OpKind::kOpaque && node.opaque_domain == "com.microsoft" &&
      node.opaque_type == "DynamicQuantizeLSTM")
    return kDynamicLstm;
  return op_row(node.kind);
}

void check_inputs(const Node& node, const OpRow& row) {
  size_t count = node.inputs.size();
  while (count > 0 && !node.inputs[count - 1].valid()) --count;
  if (static_cast<int64_t>(node.inputs.size()) < row.min_inputs)
    throw bad_node(
        fmt::format("{} inputs where at least {} are needed", node.inputs.size(), row.min_inputs));
  // Loop's first two are optional, and com.microsoft has zero points to leave out in between.
  const bool dense = node.kind != OpKind::kLoop && op_domain(node.kind).empty();
  for (size_t i = 0; dense && static_cast<int64_t>(i) < row.min_inputs; ++i)
    if (!node.inputs[i].valid()) throw bad_node(fmt::format("input {} is missing", i));
  if (row.max_inputs >= 0 && static_cast<int64_t>(count) > row.max_inputs)
    throw bad_node(fmt::format("{} inputs where at most {} are possible", count, row.max_inputs));
}

void infer_graph(Graph& graph);

class NodeInference {
 public:
  NodeInference(Graph& graph, const std::vector<bool>& outputs, KnownElements& known)
      : graph_(graph), is_output_(outputs), known_(known) {}

  void infer(NodeId id) {
    try {
      infer_valid(id);
    } catch (const Error& error) {
      const Node& node = graph_.node(id);
      throw error.within(fmt::format("node {} ({})", escape_untrusted(node.name),
                                     escape_untrusted(node.type_name())));
    }
  }

 private:
  // A branch that these shapes make impossible may be one that never runs: then its types stay
  // unknown, and running it is the error.
  void infer_body(NodeId id, Graph& body) {
    if (graph_.node(id).kind != OpKind::kIf) return infer_graph(body);
    try {
      infer_graph(body);
    } catch (const Error& error) {
      if (error.code() != ExitCode::kBadInput) throw;
    }
  }

  void infer_valid(NodeId id) {
    if (!graph_.node(id).subgraphs.empty()) {
      set_body_types(graph_, id);
      for (Subgraph& subgraph : graph_.edit(id).subgraphs) infer_body(id, subgraph.graph());
      std::vector<ValueType> types = control_flow_types(graph_, graph_.node(id));
      return store(graph_.node(id), std::move(types));
    }
    const Node& node = graph_.node(id);
    const OpRow& row = row_of(node);
    check_inputs(node, row);
    std::vector<DType> dtypes;
    for (const ValueId input : node.inputs)
      dtypes.push_back(input.valid() ? graph_.value(input).type.dtype : DType::kUndefined);
    std::vector<ValueType> types(node.outputs.size());
    for (size_t i = 0; i < types.size(); ++i) {
      if (row.type != nullptr)
        types[i].dtype = row.type(node, dtypes, i);
      else if (!dtypes.empty())
        types[i].dtype = dtypes[0];
    }
    InferCall call(graph_, node, types, &known_);
    if (row.shape != nullptr) row.shape(call);
    auto elements = propagate_elements(call);
    if (elements && node.outputs[0].valid()) {
      const auto index = static_cast<size_t>(node.outputs[0].index);
      if (index >= known_.size()) known_.resize(index + 1);
      known_[index] = std::move(elements);
    }
    store(node, std::move(types));
  }

  void store(const Node& node, std::vector<ValueType> types) {
    for (size_t i = 0; i < types.size(); ++i) {
      const ValueId output = node.outputs[i];
      if (!output.valid()) continue;
      const auto index = static_cast<size_t>(output.index);
      merge(graph_.edit_type(output), std::move(types[i]),
            index < is_output_.size() && is_output_[index]);
    }
  }

  Graph& graph_;
  const std::vector<bool>& is_output_;
  KnownElements& known_;
};

void infer_graph(Graph& graph) {
  const std::vector<ValueId> values = graph.value_ids();
  const size_t count = values.empty() ? 0 : static_cast<size_t>(values.back().index) + 1;
  std::vector<bool> is_output(count);
  for (const ValueId id : graph.outputs()) is_output[static_cast<size_t>(id.index)] = true;
  KnownElements known(count);
  NodeInference inference(graph, is_output, known);
  for (const NodeId id : graph.order()) inference.infer(id);
}

}  // namespace

void infer_shapes(Graph& graph) { infer_graph(graph); }

void infer_node(Graph& graph, NodeId id, KnownElements& known) {
  const std::vector<bool> no_outputs;
  NodeInference(graph, no_outputs, known).infer(id);
}

}  // namespace lathe
