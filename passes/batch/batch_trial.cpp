#include "batch/batch_trial.h"

#include <fmt/format.h>

#include "batch/batch_edits.h"
#include "ir/error.h"
#include "ops/propagate_elements.h"

namespace lathe {

StepwiseShapes::StepwiseShapes(Graph the_graph) : graph(std::move(the_graph)) {
  for (const ValueId id : graph.value_ids())
    if (graph.value(id).producer.valid()) graph.edit_type(id).dims.reset();
}

void StepwiseShapes::infer(NodeId id) {
  const Node& node = graph.node(id);
  const OpRow& row = op_row(node.kind);
  std::vector<DType> dtypes;
  for (const ValueId input : node.inputs)
    dtypes.push_back(input.valid() ? graph.value(input).type.dtype : DType::kUndefined);
  std::vector<ValueType> types(node.outputs.size());
  for (size_t i = 0; i < types.size(); ++i)
    types[i].dtype = row.type != nullptr ? row.type(node, dtypes, i)
                     : dtypes.empty()    ? DType::kUndefined
                                         : dtypes[0];
  InferCall call(graph, node, types, &known_);
  if (row.shape != nullptr) row.shape(call);
  set_elements(node.output(0), propagate_elements(call));
  for (size_t i = 0; i < types.size(); ++i) {
    if (!node.outputs[i].valid()) continue;
    ValueType& type = graph.edit_type(node.outputs[i]);
    if (types[i].dtype == DType::kUndefined) types[i].dtype = type.dtype;
    type = std::move(types[i]);
  }
}

std::optional<Elements> StepwiseShapes::elements(ValueId id) const {
  const auto index = static_cast<size_t>(id.index);
  return index < known_.size() ? known_[index] : std::nullopt;
}

void StepwiseShapes::set_elements(ValueId id, std::optional<Elements> elements) {
  if (!id.valid()) return;
  const auto index = static_cast<size_t>(id.index);
  if (index >= known_.size()) known_.resize(index + 1);
  known_[index] = std::move(elements);
}

void BatchTrial::refuse(NodeId id, const std::string& why) const {
  const Node& node = source.node(id);
  throw BatchRefused{fmt::format("{} ({}) {}", escape_untrusted(node.name),
                                 escape_untrusted(node.type_name()), why)};
}

std::optional<BatchPlace> BatchTrial::place(ValueId id) const {
  const auto it = id.valid() ? places.find(id) : places.end();
  return it != places.end() ? std::optional(it->second) : std::nullopt;
}

std::optional<std::vector<int64_t>> BatchTrial::constant_ints(const Node& node,
                                                              size_t input) const {
  const Tensor* tensor = narrow.graph.constant(node.input(input));
  if (tensor == nullptr || !is_integer(tensor->dtype())) return {};
  return tensor->to_int64();
}

BatchEdit BatchTrial::edit_of(NodeId id, BatchEdit::Kind kind, size_t input,
                              std::string what) const {
  BatchEdit change;
  change.kind = kind;
  change.node = id;
  change.input = input;
  change.what = std::move(what);
  return change;
}

void BatchTrial::edit(BatchEdit change) {
  for (const NodeId added : apply_batch_edit(wide.graph, change)) wide.infer(added);
  plan.edits.push_back(std::move(change));
}

bool BatchTrial::gives(NodeId id, const Dims& wanted) {
  try {
    wide.infer(id);
  } catch (const Error&) {
    return false;
  }
  const auto& dims = wide.dims(source.node(id).outputs[0]);
  return dims && *dims == wanted;
}

}  // namespace lathe
